package protocol

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

var pushNames = []string{"events"}

// ParsePush reads the body of a push. It returns an error that wraps ErrTooLarge
// for more than MaxPushBytes or MaxPushEvents, and else one that wraps a
// *MalformedError and tells which event (from 0) is at fault.
func ParsePush(body []byte) ([]Event, error) {
	if len(body) > MaxPushBytes {
		return nil, fmt.Errorf("push of %d bytes: %w", len(body), ErrTooLarge)
	}
	var p parser
	if err := p.reset(body); err != nil {
		return nil, err
	}
	if err := p.open("push", jsontext.KindBeginObject); err != nil {
		return nil, err
	}
	var events []Event
	for {
		i, err := p.name(pushNames)
		if err != nil {
			return nil, err
		}
		if i == endOfObject {
			break
		}
		if events, err = p.events(); err != nil {
			return nil, err
		}
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, malformed("events", "", "missing or empty")
	}
	return events, nil
}

// events reads the array of events of a push.
func (p *parser) events() ([]Event, error) {
	if err := p.open("events", jsontext.KindBeginArray); err != nil {
		return nil, err
	}
	var events []Event
	for {
		more, err := p.more()
		if err != nil || !more {
			return events, err
		}
		if len(events) == MaxPushEvents {
			return nil, fmt.Errorf("push of more than %d events: %w", MaxPushEvents, ErrTooLarge)
		}
		var l Logged
		if err := p.event(&l, eventNames); err != nil {
			return nil, fmt.Errorf("event %d: %w", len(events), err)
		}
		events = append(events, l.Event)
	}
}
