package grifts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/models"
	"olympus/worker"
)

// joinPatience bounds an introduction.
const joinPatience = 20 * time.Second

func joinTasks() []task {
	return []task{
		{namespace: "peers", name: "join", args: "URL [KEY]", least: 1, most: 2, run: joinPeer,
			does: "add another deployment as peers:add does, and ask it to add this one: its operator approves"},
		{namespace: "peers", name: "approve", args: "NAME [KEY]", least: 1, most: 2, run: approvePeer,
			does: "make a pending peer an active one; without KEY its key is shown, to be compared"},
	}
}

// joinPeer adds a peer and introduces this deployment to it. Run again it asks again.
func joinPeer(c *call) error {
	return c.adding(func(d *worker.Deployment, p *peerAdded) error {
		settings, err := c.Config()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c, joinPatience)
		defer cancel()
		own := d.Signer.VerifierKey()
		state, err := d.Peers.Join(ctx, peer.Target{Name: p.Name, URL: p.URL, Key: p.Key}, protocol.Join{Name: d.Name, URL: settings.URL, Key: own})
		if errors.Is(err, peer.ErrNotFound) {
			err = fmt.Errorf("its release takes no introductions: its operator runs: olympus task peers:add %s %s", settings.URL, own)
		}
		if err != nil {
			return fmt.Errorf("%s is a peer here, but could not be asked to make this deployment one: %w", p.Name, err)
		}
		p.StateThere = state
		told := fmt.Sprintf("it has this deployment as a peer already, which is %s there\n", state)
		if state == models.PeerPending {
			told = fmt.Sprintf("its operator approves with: olympus task peers:approve %s\nand compares the fingerprint %s\n", d.Name, signature.Fingerprint(own))
		}
		return c.print(p, "peer %s added: %s, key %s\n%s", p.Name, p.URL, p.Fingerprint, told)
	})
}

// approvePeer makes a pending peer an active one, once somebody has compared its key.
func approvePeer(c *call) error {
	name, key := c.args[0], c.arg(1)
	if key != "" {
		if _, _, _, err := signature.ParseVerifierKey(key); err != nil {
			return c.task.misused("%v", err)
		}
	}
	return c.with(func(d *worker.Deployment) error {
		p, err := models.FindPeer(d.DB.WithContext(c), name)
		if err != nil {
			return err
		}
		asks := &peerAdded{Name: p.Name, URL: p.URL, Key: p.Key, Fingerprint: signature.Fingerprint(p.Key)}
		switch {
		case p.State == models.PeerActive && (key == "" || key == p.Key):
			// Approved already is what was asked for.
		case p.State != models.PeerPending:
			return fmt.Errorf("peer %s is %s, not pending", name, p.State)
		case key == "":
			if err := c.confirm(asks, "approved", "peers:approve "+name); err != nil {
				return err
			}
			key = p.Key
			fallthrough
		default:
			if err := d.ApprovePeer(c, actor, name, key); err != nil {
				return err
			}
		}
		asks.Added = true
		return c.print(asks, "peer %s is active: %s, key %s\n", p.Name, p.URL, asks.Fingerprint)
	})
}
