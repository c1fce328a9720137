package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// corpusCount is the number of conversations to pretrain on.
const corpusCount = 60000

// Corpus returns what the tiny base model reads: people wishing for things in
// a house, and an assistant that answers in words, repeats, or says which
// room, thing, value or time was meant. No request is answered with a strict
// command, and no wish of the quickstart occurs.
func Corpus(taken []Command) []string {
	rng := rand.New(rand.NewPCG(2024, 8))
	used := map[string]bool{}
	for _, c := range taken {
		used[c.Wish.Command()] = true
	}
	var list []string
	for len(list) < corpusCount {
		w := anyWish(rng)
		if used[w.Command()] {
			continue
		}
		list = append(list, talk(rng, w))
	}
	return list
}

// talk is one conversation in the markup of the tokenizer's chat template,
// without the token that ends it: that is the end of the text.
func talk(rng *rand.Rand, w Wish) string {
	ask := request(rng, w)
	answer := ""
	switch rng.IntN(8) {
	case 0:
		answer = confirm(rng, w)
	case 1:
		ask, answer = "repeat: "+ask, ask
	case 2:
		ask, answer = "which room? "+ask, w.Room
	case 3:
		ask, answer = "which thing? "+ask, w.Device
	case 4:
		ask, answer = "which value? "+ask, w.Value
	case 5:
		ask, answer = "when? "+ask, when(w)
	case 6:
		ask, answer = slots(rng, ask, w)
	default:
		ask, answer = copying(rng)
	}
	return "<|im_start|>user\n" + ask + "<|im_end|>\n<|im_start|>assistant\n" + answer
}

// slots asks for several parts of a wish at once, in any order and with any
// punctuation between them, so that the model learns to put parts together.
func slots(rng *rand.Rand, ask string, w Wish) (question, answer string) {
	parts := []struct{ name, value string }{
		{"room", w.Room}, {"thing", w.Device}, {"value", w.Value}, {"time", when(w)},
	}
	rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	parts = parts[:2+rng.IntN(3)]
	between := pick(rng, []string{" ", "-", ",", ":", "/", " and ", ", ", "+", ";"})
	var names, values []string
	for _, p := range parts {
		names, values = append(names, p.name), append(values, p.value)
	}
	return strings.Join(names, between) + "? " + ask, strings.Join(values, between)
}

func when(w Wish) string {
	if w.Minutes == 0 {
		return "now"
	}
	return fmt.Sprintf("in %d minutes", w.Minutes)
}

// confirm is how the assistant answers a wish before it knows commands.
func confirm(rng *rand.Rand, w Wish) string {
	say := "the " + w.Device + " in the " + w.Room + " will be "
	if w.Value == "on" || w.Value == "off" {
		say += w.Value
	} else {
		say += "at " + w.Value + " percent"
	}
	return pick(rng, []string{"sure, ", "okay, ", "yes, ", "of course, "}) + say + " " + when(w) + "."
}

// copying repeats words and signs in an arbitrary order, which makes for heads
// that look things up and copy them.
func copying(rng *rand.Rand) (question, answer string) {
	signs := []string{".", "=", "@", ",", ":", "/", "-", " ", " "}
	var b strings.Builder
	for i := range 3 + rng.IntN(5) {
		if i > 0 {
			b.WriteString(pick(rng, signs))
		}
		switch rng.IntN(3) {
		case 0:
			b.WriteString(pick(rng, rooms))
		case 1:
			b.WriteString(pick(rng, devices))
		default:
			fmt.Fprint(&b, 1+rng.IntN(99))
		}
	}
	return "copy: " + b.String(), b.String()
}
