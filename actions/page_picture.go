package actions

import (
	"fmt"
	"slices"
	"time"

	"olympus/models"
)

// maxPictured is how many peers the picture shows, those in trouble first. The table below it has all.
const maxPictured = 12

// pictureView is this deployment and its peers with the two ways to each, drawn for wide windows and for phones, and told in words.
type pictureView struct {
	Drawings []drawing
	Title    string
	Says     string
	Facts    []string
	More     string
}

// drawing is one picture, in units of about a pixel.
type drawing struct {
	ID            string
	Width, Height int
	Spine         string // path from this deployment to the arrows, where its box does not reach them
	Here          drawnBox
	Peers         []drawnPeer
}

// drawnBox is a deployment. Whole is its name if Name is only the beginning.
type drawnBox struct {
	X, Y, W, H                       int
	TextX, NameY, WordY, NumberY     int
	Name, Whole, Word, Class, Number string
}

type drawnPeer struct {
	Box        drawnBox
	Pull, Push arrow
}

// arrow is a way to a peer. Events move in its direction.
type arrow struct {
	State          string
	Line, Head     string // paths
	TextX          int
	Text, Amount   string
	TextY, AmountY int
}

// Measures of the picture. Its letters are of one width, so that what fits is known: 0.6 of their size.
const (
	rowHeight = 92
	boxHeight = 76

	wideBox, wideGap, wideHere = 224, 168, 176
	wideName, wideHereName     = 26, 20 // letters

	narrowWidth, narrowBox = 312, 156
	narrowName             = 16
	narrowTop, narrowSpine = 64, 14
)

// newPicture draws the peers, as many as there is room for.
func (p *pages) newPicture(says string, head int64, peers []models.Peer, queued map[string]int64, now time.Time) *pictureView {
	if len(peers) == 0 {
		return nil
	}
	all := make([]peerStanding, len(peers))
	for i := range peers {
		pull, push := ways(&peers[i], queued[peers[i].Name], p.Deployment.PullInterval, now)
		all[i] = peerStanding{&peers[i], pull, push}
	}
	view := &pictureView{Title: "This deployment, " + p.Deployment.Name + ", and its peers", Says: says}
	if len(all) > maxPictured {
		slices.SortStableFunc(all, worstFirst)
		view.More = fmt.Sprintf("The picture shows %d of %s peers, those in trouble first.", maxPictured, counted(int64(len(all))))
		all = all[:maxPictured]
	}
	wide, narrow := wideDrawing(len(all)), narrowDrawing(len(all))
	for _, d := range []*drawing{&wide, &narrow} {
		d.Here.Number = "head " + short(head)
		d.Here.named(p.Deployment.Name, wideHereName)
		if d.ID == "narrow" {
			d.Here.named(p.Deployment.Name, 2*narrowName)
		}
	}
	for i, s := range all {
		view.Facts = append(view.Facts, s.peer.Name+": "+s.pull.Sentence()+"; "+s.push.Sentence()+".")
		wide.Peers = append(wide.Peers, widePeer(i, len(all), s.pull, s.push))
		narrow.Peers = append(narrow.Peers, narrowPeer(i, s.pull, s.push))
		for _, box := range []*drawnBox{&wide.Peers[i].Box, &narrow.Peers[i].Box} {
			box.Word, box.Class = s.word(), s.word()
			box.Number = "head " + short(s.peer.Head)
		}
		wide.Peers[i].Box.named(s.peer.Name, wideName)
		narrow.Peers[i].Box.named(s.peer.Name, narrowName)
	}
	view.Drawings = []drawing{wide, narrow}
	return view
}

func (b *drawnBox) named(name string, most int) {
	b.Name, b.Whole = shortened(name, most), ""
	if b.Name != name {
		b.Whole = name
	}
}

// newBox places a box and the lines in it.
func newBox(x, y, w, h int) drawnBox {
	return drawnBox{X: x, Y: y, W: w, H: h, TextX: x + 12, NameY: y + h/2 - 12, WordY: y + h/2 + 6, NumberY: y + h/2 + 24}
}

// wideDrawing has this deployment in the middle and peers on both sides; a single peer is on the right.
func wideDrawing(n int) drawing {
	rows := (n + 1) / 2
	d := drawing{ID: "wide", Width: 2*wideBox + 2*wideGap + wideHere, Height: rows * rowHeight}
	left := wideBox + wideGap
	if n == 1 {
		d.Width, left = wideHere+wideGap+wideBox, 0
	}
	top := (rowHeight - boxHeight) / 2
	d.Here = newBox(left+1, top, wideHere-2, d.Height-2*top)
	d.Here.NumberY = d.Here.WordY
	return d
}

// widePeer is the i-th of n peers: they are drawn on the right and on the left in turn.
func widePeer(i, n int, pull, push way) drawnPeer {
	row, onLeft := i/2, i%2 == 1
	y := row * rowHeight
	left := wideBox + wideGap // of this deployment
	if n == 1 {
		left = 0
	}
	if onLeft {
		if n%2 == 1 {
			y += rowHeight / 2 // one less than on the right: in the middle
		}
		return newDrawnPeer(1, y, wideBox-2, wideBox, wideBox+wideGap, true, pull, push)
	}
	return newDrawnPeer(left+wideHere+wideGap+1, y, wideBox-2, left+wideHere, left+wideHere+wideGap, false, pull, push)
}

// narrowDrawing has this deployment on top, and the peers in a column below it, beside a line that comes from it.
func narrowDrawing(n int) drawing {
	d := drawing{ID: "narrow", Width: narrowWidth, Height: narrowTop + n*rowHeight}
	d.Here = newBox(1, 1, narrowWidth-2, narrowTop-8)
	d.Here.NameY, d.Here.NumberY = 25, 44
	d.Spine = fmt.Sprintf("M%d %dV%d", narrowSpine, narrowTop-7, narrowTop+(n-1)*rowHeight+71)
	return d
}

func narrowPeer(i int, pull, push way) drawnPeer {
	return newDrawnPeer(narrowWidth-narrowBox, narrowTop+i*rowHeight, narrowBox-1, narrowSpine, narrowWidth-narrowBox, false, pull, push)
}

// newDrawnPeer is the box of a peer in a row that begins at y, and the arrows between from and to. On the left of this deployment they
// point the other way.
func newDrawnPeer(x, y, w, from, to int, onLeft bool, pull, push way) drawnPeer {
	return drawnPeer{
		Box:  newBox(x, y+(rowHeight-boxHeight)/2, w, boxHeight),
		Pull: newArrow(pull, from, to, y+25, onLeft), Push: newArrow(push, from, to, y+71, !onLeft),
	}
}

// newArrow is a line between two columns with a head at one end, its words above and its amount below it.
func newArrow(w way, from, to, y int, toRight bool) arrow {
	const room, head = 6, 9
	a := arrow{
		State: w.State, TextX: (from + to) / 2, TextY: y - 6, AmountY: y + 14, Text: w.Kind + ": " + w.State, Amount: w.Amount,
	}
	from, to = from+room, to-room
	if toRight {
		a.Line, a.Head = fmt.Sprintf("M%d %dH%d", from, y, to-head), fmt.Sprintf("M%d %dl-%d-5v10z", to, y, head)
	} else {
		a.Line, a.Head = fmt.Sprintf("M%d %dH%d", to, y, from+head), fmt.Sprintf("M%d %dl%d-5v10z", from, y, head)
	}
	return a
}
