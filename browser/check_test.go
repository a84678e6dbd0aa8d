package browser

import (
	"strings"

	"github.com/stretchr/testify/assert"
)

// found is what a check says of a page. How much it looked at is part of it: no faults among nothing is no good news.
type found struct {
	Checked int      `json:"checked"`
	Faults  []string `json:"faults"`
}

// check looks at the page at hand in several ways at once, for the way to the browser is long, and asserts that each of them looked at
// something and found no fault.
func (b *tab) check(what string, checks ...string) {
	b.t.Helper()
	for i, got := range evaluate[[]found](b, "["+strings.Join(checks, ",")+"]") {
		assert.Empty(b.t, got.Faults, what)
		assert.Greater(b.t, got.Checked, 10, "%s, check %d", what, i)
	}
}

// tools are what the checks share: what is visible, and which colours are drawn.
const tools = `
const faults = []
let checked = 0
const fault = text => { if (!faults.includes(text) && faults.length < 20) faults.push(text) }
const name = e =>
  e.tagName.toLowerCase() + (e.className ? '.' + e.className : '') + ' "' + (e.innerText || e.value || '').trim().slice(0, 40) + '"'
const visible = e =>
  e.checkVisibility({visibilityProperty: true, opacityProperty: true}) && [...e.getClientRects()].some(r => r.width > 1 && r.height > 1)

// A colour as red, green, blue and opacity, each from 0 to 1.
const colour = text => {
  const numbers = text.match(/[\d.e-]+/g).map(Number)
  if (/^rgba?\(/.test(text)) return [...numbers.slice(0, 3).map(n => n / 255), numbers[3] ?? 1]
  if (/^color\(srgb /.test(text)) return [...numbers.slice(0, 3), numbers[3] ?? 1]
  throw Error('a colour in a form that this test does not read: ' + text)
}
const over = (top, below) => [...[0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])), 1]
const ground = e => {
  const layers = []
  for (; e; e = e.parentElement) {
    const style = getComputedStyle(e)
    if (style.backgroundImage !== 'none') throw Error('a picture behind text, which this test does not read')
    layers.push(colour(style.backgroundColor))
    if (layers.at(-1)[3] === 1) return layers.reduceRight((below, top) => over(top, below))
  }
  throw Error('the page has no background of its own')
}
const light = c => { // relative luminance, WCAG 2
  const [r, g, b] = c.map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}
const contrast = (a, b) => { const [x, y] = [light(a), light(b)]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05) }
const opacity = e => { let all = 1; for (; e; e = e.parentElement) all *= getComputedStyle(e).opacity; return all }

// Every piece of text that is shown, with the element it is in and the style it is drawn with.
const texts = () => {
  const all = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement
    if (walker.currentNode.data.trim() && visible(e)) all.push({e, style: getComputedStyle(e)})
  }
  for (const e of document.querySelectorAll('body *')) {
    const before = getComputedStyle(e, '::before')
    if (visible(e) && !['none', 'normal', '""'].includes(before.content)) all.push({e, style: before})
    if (e.placeholder && visible(e)) all.push({e, style: getComputedStyle(e, '::placeholder')})
    if (e.value !== undefined && visible(e)) all.push({e, style: getComputedStyle(e)})
  }
  return all
}
`

// structure is what assistive software and search in a browser's history rely on.
const structure = `(() => {` + tools + `
const need = (ok, text) => { checked++; if (!ok) fault(text) }
need(document.documentElement.lang, 'the language is not declared')
need(document.title.trim() && !/undefined|null|<%/.test(document.title), 'title: ' + document.title)
const heads = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')]
const first = heads.filter(h => h.tagName === 'H1')
need(first.length === 1 && first[0].innerText.trim() && visible(first[0]), first.length + ' first headings')
let level = 0
for (const h of heads) {
  need(+h.tagName[1] <= level + 1, 'a level of headings is left out before ' + name(h))
  level = +h.tagName[1]
}
for (const landmark of ['header', 'nav', 'main', 'footer']) need(document.querySelector(landmark), 'no ' + landmark)
for (const table of document.querySelectorAll('table')) {
  need(table.caption?.textContent.trim(), 'a table without a caption')
  const columns = [...table.querySelectorAll('thead th[scope=col]')]
  const headed = columns.length && columns.every(c => c.innerText.trim()) && columns.length === table.querySelectorAll('thead tr > *').length
  need(headed, 'a table with columns without a heading')
  for (const row of table.querySelectorAll('tbody tr')) {
    const cells = [...row.cells]
    need(cells.reduce((n, c) => n + c.colSpan, 0) === columns.length, 'a row that does not fit its columns: ' + name(row))
    need(cells.length === 1 || row.querySelectorAll('th[scope=row]').length === 1, 'a row without a heading: ' + name(row))
  }
}
for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) need(e.labels.length, 'no label: ' + name(e))
for (const e of document.querySelectorAll('img')) need(e.hasAttribute('alt'), 'a picture without its alternative: ' + e.src)
for (const e of document.querySelectorAll('img')) need(e.naturalWidth || !e.complete, 'a picture that was not drawn: ' + e.src)
for (const e of document.querySelectorAll('a')) need(e.href && e.innerText.trim(), 'a link that leads nowhere or says nothing: ' + e.outerHTML)
for (const e of document.querySelectorAll('[id]')) need(document.querySelectorAll('#' + CSS.escape(e.id)).length === 1, 'an id twice: ' + e.id)
for (const attribute of ['aria-labelledby', 'for']) for (const e of document.querySelectorAll('[' + attribute + ']'))
  need(document.getElementById(e.getAttribute(attribute)), 'labelled by nothing: ' + e.outerHTML.slice(0, 80))
return {checked, faults}})()`

// onlyText is true of a page into which nobody has brought more than text.
const onlyText = `(() => {` + tools + `
for (const e of document.querySelectorAll('*')) {
  checked++
  const own = e.tagName === 'SCRIPT' && !e.text && e.src && new URL(e.src).pathname === '/assets/olympus.js' && e.parentElement === document.head
  const alien = ['SCRIPT', 'STYLE', 'IFRAME', 'OBJECT', 'EMBED', 'BASE'].includes(e.tagName) && !own
  if (alien) fault('an element that no page has: ' + e.outerHTML.slice(0, 100))
  for (const a of e.attributes) {
    const active = a.name.startsWith('on') || a.name === 'style' || /^\s*javascript:/i.test(a.value)
    if (active) fault('an attribute that no page has: ' + a.name)
  }
}
for (const e of document.querySelectorAll('img, link'))
  if (!new URL(e.src || e.href).pathname.startsWith('/assets/')) fault('not ours: ' + e.outerHTML)
return {checked, faults}})()`

// fits is true of a page that can be read at its width without moving it to and fro, and without a magnifying glass.
const fits = `(() => {` + tools + `
const width = document.documentElement.clientWidth
if (innerWidth !== width) fault('laid out for ' + innerWidth + ' pixels instead of ' + width)
for (const e of [document.documentElement, document.body]) if (e.scrollWidth > width) fault(e.tagName + ' is ' + e.scrollWidth + ' pixels wide')
for (const e of document.querySelectorAll('body *')) {
  if (!visible(e) || e.closest('.unseen, .skip')) continue
  checked++
  let scroller = e.parentElement
  while (scroller && !['auto', 'scroll'].includes(getComputedStyle(scroller).overflowX)) scroller = scroller.parentElement
  const box = e.getBoundingClientRect()
  if (!scroller && (box.right > width + 0.5 || box.left < -0.5)) fault('reaches beyond the edge: ' + name(e))
  const cut = e.scrollWidth > e.clientWidth + 1 && e.clientWidth && getComputedStyle(e).overflowX !== 'visible'
  if (!scroller && cut && e.tagName !== 'INPUT') fault('more than is shown: ' + name(e))
}
for (const {e, style} of texts()) {
  checked++
  if (parseFloat(style.fontSize) < 12) fault('text of ' + style.fontSize + ': ' + name(e))
  if (e.matches('input') && parseFloat(style.fontSize) < 16) fault('phones magnify the page for a field of ' + style.fontSize + ': ' + name(e))
}
for (const e of document.querySelectorAll('main p:not([class]), td'))
  if (visible(e) && parseFloat(getComputedStyle(e).fontSize) < 14) fault('small text: ' + name(e))
return {checked, faults}})()`

// dim and bright are true of a page that is drawn for the dark or for the light.
const (
	dim    = `(() => {` + tools + `return {checked: 100, faults: light(ground(document.body)) < 0.05 ? [] : ['not dark']}})()`
	bright = `(() => {` + tools + `return {checked: 100, faults: light(ground(document.body)) > 0.8 ? [] : ['not light']}})()`
)

// legible is true of a page whose text stands out from what is behind it, by WCAG 2.2 AA.
const legible = `(() => {` + tools + `
for (const {e, style} of texts()) {
  checked++
  const behind = ground(e)
  const drawn = colour(style.color)
  drawn[3] *= opacity(e)
  const size = parseFloat(style.fontSize)
  const large = size >= 24 || size >= 18.66 && style.fontWeight >= 700
  const ratio = contrast(over(drawn, behind), behind)
  if (ratio < (large ? 3 : 4.5)) fault('contrast ' + ratio.toFixed(2) + ' ' + style.color + ': ' + name(e))
}
return {checked, faults}})()`

// requireChecksFind spoils the page at hand in many ways and requires that each is noticed: a check that finds nothing is not for that
// reason a good one.
func (b *tab) requireChecksFind() {
	b.t.Helper()
	for check, spoils := range map[string][]string{
		structure: {
			`document.title = ''`, `$('h1').remove()`, `$('h2').outerHTML = '<h4>x</h4>'`, `$('h1').innerText = ''`, `$('nav').remove()`,
			`$('main').append(document.createElement('a'))`, `$('main').innerHTML += '<table><tr><td>x</table>'`,
			`$('main').innerHTML += '<img src="/x">'`, `$('main').innerHTML += '<input>'`, `$('main').id = 'peers'`,
		},
		onlyText: {
			`document.body.append(document.createElement('script'))`, `document.body.append(Object.assign(document.createElement('script'), {src: '/assets/olympus.js'}))`,
			`document.body.setAttribute('onclick', '')`,
			`$('a').href = 'javascript:alert(1)'`, `$('img').setAttribute('src', '/other')`,
		},
		fits: {
			`$('h1').innerText = 'x'.repeat(200); $('h1').style.overflowWrap = 'normal'`, `$('h1').style.marginLeft = '-40px'`,
			`$('h2:not(.unseen)').style.fontSize = '11px'`, `$('.empty').style.cssText = 'width: 99px; white-space: nowrap; overflow: hidden'`,
		},
		legible: {
			`$('h2:not(.unseen)').style.color = '#888'`, `$('footer').style.opacity = 0.5`, `$('.empty').style.background = '#555'`,
		},
	} {
		spoils = append(spoils, ``)
		results := evaluate[[]found](b, `(() => {
			const $ = selector => document.querySelector(selector)
			return [() => {`+strings.Join(spoils, `}, () => {`)+`}].map(spoil => {
				const title = document.title, body = document.body.cloneNode(true)
				try { spoil(); return `+check+` }
				finally { document.title = title; document.body.replaceWith(body) }
			})
		})()`)
		for i, got := range results {
			assert.Equal(b.t, spoils[i] == "", len(got.Faults) == 0, "after %q: %q", spoils[i], got.Faults)
			assert.Greater(b.t, got.Checked, 10)
		}
	}
}
