package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RegistryFile is where LLaMA-Factory describes the datasets of a folder.
const RegistryFile = "dataset_info.json"

// Registry is LLaMA-Factory's dataset_info.json.
type Registry map[string]RegistryEntry

// RegistryEntry describes one dataset of it.
type RegistryEntry struct {
	FileName      string `json:"file_name"`
	HubURL        string `json:"hf_hub_url"`
	ModelScopeURL string `json:"ms_hub_url"`
	OpenMindURL   string `json:"om_hub_url"`
	ScriptURL     string `json:"script_url"`
	CloudFile     string `json:"cloud_file_name"`

	Formatting string            `json:"formatting"` // "" is alpaca
	Ranking    bool              `json:"ranking"`
	Columns    map[string]string `json:"columns"`
	Tags       map[string]string `json:"tags"`

	Subset     string `json:"subset"`
	Split      string `json:"split"`
	Folder     string `json:"folder"`
	NumSamples int64  `json:"num_samples"`
}

// ParseRegistry reads a dataset_info.json.
func ParseRegistry(raw []byte) (Registry, error) {
	var r Registry
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", RegistryFile, err)
	}
	return r, nil
}

// Entry returns the named dataset, or says which there are.
func (r Registry) Entry(name string) (RegistryEntry, error) {
	e, ok := r[name]
	if ok {
		return e, nil
	}
	const most = 12
	names := slices.Sorted(maps.Keys(r))
	if len(names) > most {
		names = append(names[:most], fmt.Sprintf("… (%d in all)", len(r)))
	}
	return e, fmt.Errorf("%s has no dataset %q; it has %s", RegistryFile, name, orNone(names))
}

// Local returns the file or folder that holds the dataset, or why there is none.
func (e RegistryEntry) Local() (string, error) {
	switch {
	case e.FileName != "" && e.HubURL == "" && e.ScriptURL == "":
		return e.FileName, nil
	case e.HubURL != "":
		return "", fmt.Errorf("the dataset is on the Hugging Face Hub as %s: fetch it and say its format here", e.HubURL)
	case e.ModelScopeURL != "":
		return "", fmt.Errorf("the dataset is on ModelScope as %s: fetch it and say its format here", e.ModelScopeURL)
	case e.OpenMindURL != "":
		return "", fmt.Errorf("the dataset is on OpenMind as %s: fetch it and say its format here", e.OpenMindURL)
	case e.CloudFile != "":
		return "", fmt.Errorf("the dataset is in cloud storage as %s: fetch it and say its format here", e.CloudFile)
	case e.ScriptURL != "":
		return "", fmt.Errorf("the dataset is loaded by a program (%s), which pipe does not run", e.ScriptURL)
	}
	return "", errors.New("the dataset names no file")
}

// Notes are what of the entry is passed over, and why.
func (e RegistryEntry) Notes() (notes []string) {
	if e.Subset != "" {
		notes = append(notes, fmt.Sprintf("subset %q is passed over: it is a choice among a hub's files, and the file is local", e.Subset))
	}
	if e.Split != "" {
		notes = append(notes, fmt.Sprintf("split %q is passed over: a local file has no splits", e.Split))
	}
	if e.Folder != "" {
		notes = append(notes, fmt.Sprintf("folder %q is passed over: it is a hub's, and the file is local", e.Folder))
	}
	if e.NumSamples > 0 {
		notes = append(notes, fmt.Sprintf("num_samples %d is passed over: say limit and shuffle", e.NumSamples))
	}
	return notes
}

// Layout is how LLaMA-Factory would read the entry's rows: columns that it does
// not name (system, history, tools) are not read.
func (e RegistryEntry) Layout() (Layout, error) {
	for _, media := range []string{"images", "videos", "audios"} {
		if column := e.Columns[media]; column != "" {
			return Layout{}, fmt.Errorf("its column %s holds %s; only text can be trained on", column, media)
		}
	}
	switch e.Formatting {
	case "", "alpaca":
		return e.alpaca()
	case "sharegpt":
		return e.shareGPT()
	case "openai":
		return e.openAI()
	}
	return Layout{}, fmt.Errorf("formatting %q is none of alpaca, sharegpt and openai", e.Formatting)
}

// rename builds a column mapping: pairs of LLaMA-Factory's name and pipe's.
func (e RegistryEntry) rename(known map[string]string) (map[string]string, error) {
	columns := map[string]string{}
	for _, theirs := range slices.Sorted(maps.Keys(e.Columns)) {
		ours, ok := known[theirs]
		if !ok {
			return nil, fmt.Errorf("columns.%s has no place in data of this kind", theirs)
		}
		columns[ours] = e.Columns[theirs]
	}
	return columns, nil
}

func (e RegistryEntry) alpaca() (l Layout, err error) {
	l.Only = true
	known := map[string]string{"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}
	switch {
	case e.Ranking:
		l.Format = PreferenceFormat
		known = map[string]string{"prompt": "prompt", "query": "input", "chosen": "chosen", "rejected": "rejected", "system": "system", "tools": "tools"}
	case e.Columns["kto_tag"] != "":
		l.Format = KTOFormat
		known = map[string]string{"prompt": "prompt", "query": "input", "response": "completion", "kto_tag": "label", "system": "system", "tools": "tools"}
	case e.Columns["prompt"] != "" && len(e.Columns) == 1: // for pre-training
		return Layout{Format: TextFormat, Columns: map[string]string{"text": e.Columns["prompt"]}}, nil
	default:
		l.Format = AlpacaFormat
	}
	l.Columns, err = e.rename(known)
	return l, err
}

func (e RegistryEntry) shareGPT() (l Layout, err error) {
	l = Layout{Format: ShareGPTFormat, Only: true}
	known := map[string]string{"messages": "conversations", "system": "system", "tools": "tools"}
	switch {
	case e.Ranking:
		l.Format = PreferenceFormat
		known = map[string]string{"messages": "prompt", "chosen": "chosen", "rejected": "rejected", "system": "system", "tools": "tools"}
	case e.Columns["kto_tag"] != "":
		l.Format = KTOFormat
		known = map[string]string{"messages": "messages", "kto_tag": "label", "system": "system", "tools": "tools"}
	}
	if l.Columns, err = e.rename(known); err != nil {
		return l, err
	}
	return l, e.tags(&l)
}

func (e RegistryEntry) openAI() (l Layout, err error) {
	l = Layout{Format: MessagesFormat, Only: true}
	known := map[string]string{"messages": "messages", "tools": "tools"}
	switch {
	case e.Ranking:
		l.Format = PreferenceFormat
		known = map[string]string{"messages": "prompt", "chosen": "chosen", "rejected": "rejected", "tools": "tools"}
	case e.Columns["kto_tag"] != "":
		l.Format = KTOFormat
		known = map[string]string{"messages": "messages", "kto_tag": "label", "tools": "tools"}
	}
	l.Columns, err = e.rename(known)
	return l, err
}

// tags reads what messages call their speakers.
func (e RegistryEntry) tags(l *Layout) error {
	roles := map[string]string{
		"user_tag": "user", "assistant_tag": "assistant", "observation_tag": "tool", "function_tag": calling, "system_tag": "system",
	}
	for _, tag := range slices.Sorted(maps.Keys(e.Tags)) {
		value := e.Tags[tag]
		switch {
		case value == "":
		case tag == "role_tag":
			l.Columns["from"] = value
		case tag == "content_tag":
			l.Columns["value"] = value
		case roles[tag] != "":
			if l.Roles == nil {
				l.Roles = map[string]string{}
			}
			l.Roles[value] = roles[tag]
		default:
			return fmt.Errorf("tags.%s is none of LLaMA-Factory's", strings.TrimSpace(tag))
		}
	}
	return nil
}
