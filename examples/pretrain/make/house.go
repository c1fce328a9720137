package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// The world: things in rooms that can be switched or set, now or later.
var (
	rooms   = []string{"kitchen", "bedroom", "hall", "garage", "office", "garden", "bathroom", "attic", "cellar", "porch"}
	devices = []string{"lamp", "fan", "heater", "blind", "radio", "pump", "screen", "oven"}
	minutes = []int{2, 3, 5, 8, 10, 15, 20, 30, 45, 60}
)

// A Wish is what somebody wants of one thing.
type Wish struct {
	Room, Device string
	Value        string // "on", "off" or a percentage without its sign
	Minutes      int    // from now; 0 is at once
}

// Command is the strict spelling of w, which the quickstart teaches:
// room.device=value, with @minutes where there is a delay.
func (w Wish) Command() string {
	s := w.Room + "." + w.Device + "=" + w.Value
	if w.Minutes > 0 {
		s += fmt.Sprintf("@%d", w.Minutes)
	}
	return s
}

// A Command is a row of the quickstart: a wish in words.
type Command struct {
	Wish
	Request string
}

// commandCount is the number of rows of the quickstart.
const commandCount = 420

// Commands returns the rows of the quickstart. No two wish the same, so that
// whatever is held out was never seen in other words either.
func Commands() []Command {
	rng := rand.New(rand.NewPCG(2024, 7))
	seen := map[string]bool{}
	said := map[string]bool{}
	var list []Command
	for len(list) < commandCount {
		w := anyWish(rng)
		c := Command{w, request(rng, w)}
		if !seen[w.Command()] && !said[c.Request] {
			seen[w.Command()], said[c.Request] = true, true
			list = append(list, c)
		}
	}
	return list
}

func anyWish(rng *rand.Rand) Wish {
	w := Wish{Room: pick(rng, rooms), Device: pick(rng, devices)}
	switch rng.IntN(4) {
	case 0:
		w.Value = "on"
	case 1:
		w.Value = "off"
	default:
		w.Value = fmt.Sprint(5 * (1 + rng.IntN(19)))
	}
	if rng.IntN(5) < 2 {
		w.Minutes = pick(rng, minutes)
	}
	return w
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// request says w in words, in one of many ways.
func request(rng *rand.Rand, w Wish) string {
	thing := pick(rng, []string{
		"the " + w.Room + " " + w.Device,
		"the " + w.Device + " in the " + w.Room,
		"the " + w.Device + " of the " + w.Room,
	})
	var say string
	switch w.Value {
	case "on", "off":
		say = pick(rng, []string{
			"turn " + w.Value + " " + thing,
			"switch " + thing + " " + w.Value,
			"turn " + thing + " " + w.Value,
			"i want " + thing + " " + w.Value,
		})
	default:
		say = pick(rng, []string{
			"set " + thing + " to " + w.Value + " percent",
			"put " + thing + " at " + w.Value + " percent",
			"i want " + thing + " at " + w.Value + " percent",
			"bring " + thing + " to " + w.Value + " percent",
		})
	}
	if w.Minutes > 0 {
		later := fmt.Sprintf("in %d minutes", w.Minutes)
		if rng.IntN(3) == 0 && !strings.HasPrefix(say, "i want") {
			say = later + " " + say
		} else {
			say += " " + later
		}
	}
	return pick(rng, []string{"", "", "please ", "hey, ", "could you "}) + say
}

// commandRows writes the quickstart's data: one conversation a line.
func commandRows(list []Command) []byte {
	var b bytes.Buffer
	for _, c := range list {
		b.Write(line(map[string]string{"instruction": c.Request, "output": c.Command()}))
	}
	return b.Bytes()
}

func textRows(texts []string) []byte {
	var b bytes.Buffer
	for _, t := range texts {
		b.Write(line(map[string]string{"text": t}))
	}
	return b.Bytes()
}

func line(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return b.Bytes()
}
