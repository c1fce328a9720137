package dataset

import (
	"maps"
	"slices"
)

// A quickPlan says how rows of JSON are read straight into columns, without
// Values and Records between. It covers the rows that most files of the common
// formats are made of; of every other row, malformed ones included, the quick
// reading makes nothing, and jsonParser and the Shaper read it. A row that it
// takes becomes what they would make of it.
type quickPlan struct {
	shape Shape
	slots []slot // of the fields that are read
	build func(*quickRow) bool

	turns     turnNames
	roles     []roleName
	takeTurns bool // sharegpt's: the two sides alternate

	keepReasoning bool
}

// slotKind is what a field of a row holds.
type slotKind uint8

const (
	unreadSlot slotKind = iota
	textSlot            // a string or null
	turnsSlot           // a conversation
	emptySlot           // what must hold nothing: media, history, tools
)

// slot is a field by its name. A column that may be called by several names has
// as many slots with one place.
type slot struct {
	name  string
	kind  slotKind
	place int // among the columns of the format, below maxPlaces
}

// maxPlaces is more than the columns of any format.
const maxPlaces = 16

// turnNames are the fields of a message that hold its role and its text.
type turnNames struct{ role, content string }

// roleName is a role and what messages call it.
type roleName struct{ name, role string }

// quick returns the plan for rows of s, nil when there is none.
func (s *Shaper) quick() *quickPlan {
	p := &quickPlan{shape: s.shape, keepReasoning: s.layout.Reasoning == "" || s.layout.Reasoning == KeepReasoning}
	media := true
	switch s.layout.Format {
	case AlpacaFormat:
		p.build = (*quickRow).alpaca
	case SparkFormat:
		p.build = (*quickRow).spark
	case PreferenceFormat:
		p.build = (*quickRow).preference
	case MessagesFormat:
		p.build = (*quickRow).conversation
		p.turns, p.roles = turnNames{s.columns["role"], s.columns["content"]}, s.messageRoles()
	case ShareGPTFormat:
		p.build, p.takeTurns = (*quickRow).conversation, true
		p.turns, p.roles = turnNames{s.columns["from"], s.columns["value"]}, s.shareGPTRoles()
	case PromptFormat:
		if s.shape != PromptCompletion {
			return nil
		}
		p.build, media = (*quickRow).promptCompletion, false
	case TextFormat:
		p.build, media = (*quickRow).text, false
	default:
		return nil
	}
	if s.limit < maxRecordBytes || p.turns.collide() || !p.name(s, media) {
		return nil
	}
	return p
}

// name fills the slots. It returns false when one field would have two meanings.
func (p *quickPlan) name(s *Shaper, media bool) bool {
	for place, column := range s.spec.columns {
		_, mapped := s.layout.Columns[column]
		if slices.Contains(inner, column) || s.layout.Only && !mapped && slices.Contains(named, column) {
			continue
		}
		kind := textSlot
		switch column {
		case "messages", "conversations":
			kind = turnsSlot
		case "history", "tools":
			kind = emptySlot
			if s.shape == PromptCompletion {
				kind = unreadSlot
			}
		}
		p.slots = append(p.slots, slot{s.columns[column], kind, place})
		if !mapped {
			for _, alias := range aliases[column] {
				p.slots = append(p.slots, slot{alias, kind, place})
			}
		}
	}
	if media {
		for _, column := range mediaColumns {
			p.slots = append(p.slots, slot{column, emptySlot, maxPlaces})
		}
	}
	for i, a := range p.slots {
		if slices.ContainsFunc(p.slots[:i], func(b slot) bool { return a.name == b.name }) {
			return false
		}
	}
	return true
}

// find returns the slot of a field.
func (p *quickPlan) find(name []byte) slot {
	for i := range p.slots {
		if s := &p.slots[i]; len(s.name) == len(name) && s.name == string(name) {
			return *s
		}
	}
	return slot{}
}

// role returns the role that a name stands for, "" when the Shaper must say.
func (p *quickPlan) role(name []byte) string {
	for i := range p.roles {
		if r := &p.roles[i]; len(r.name) == len(name) && r.name == string(name) {
			return r.role
		}
	}
	return ""
}

// messageRoles are those of messageRole.
func (s *Shaper) messageRoles() []roleName {
	names := []string{"user", "assistant", "system", "tool", "developer", "function"}
	for _, name := range slices.Sorted(maps.Keys(s.layout.Roles)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var roles []roleName
	for _, name := range names {
		if role, bad := s.messageRole(name, ""); bad == nil {
			roles = append(roles, roleName{name, role})
		}
	}
	return roles
}

// shareGPTRoles are those of shareGPTTurn but calling.
func (s *Shaper) shareGPTRoles() []roleName {
	roles := maps.Clone(shareGPTRoles)
	maps.Copy(roles, s.layout.Roles)
	names := []string{"human", "gpt", "user", "assistant"}
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var all []roleName
	for _, name := range names {
		if role := roles[name]; role != calling && role != "" {
			all = append(all, roleName{name, role})
		}
	}
	return all
}
