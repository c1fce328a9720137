package dataset

// Format is how the rows of a file are laid out.
type Format string

// The formats, each with the columns it reads; a question mark is one that may
// be missing, null or empty. docs/data.md shows a row of each.
const (
	AlpacaFormat   Format = "alpaca"            // instruction, input?, output, system?, history?
	ShareGPTFormat Format = "sharegpt"          // conversations of from and value, system?, tools?
	MessagesFormat Format = "messages"          // messages of role and content, tools?
	PromptFormat   Format = "prompt-completion" // prompt, completion: text, or lists of messages
	TextFormat     Format = "text"              // text; a row that is a string is one too

	PreferenceFormat Format = "preference" // prompt?, chosen, rejected, system?, tools?; see preference.go
	KTOFormat        Format = "kto"        // prompt and completion, or messages; label; see judged.go

	SegmentsFormat Format = "segments" // segments of text and label (axolotl's input_output)
	StepwiseFormat Format = "stepwise" // prompt, completions, labels: one per completion

	MOSSFormat   Format = "moss"   // chat of turn_1, turn_2, …, meta_instruction?
	PanguFormat  Format = "pangu"  // context, target, system?; or a list of such turns; or context, targets
	SparkFormat  Format = "spark"  // input, target, system?, history?
	GeminiFormat Format = "gemini" // systemInstruction?, contents of role and parts, tools?
	SQuADFormat  Format = "squad"  // context, question, answers; or paragraphs of context and qas

	TemplateFormat Format = "template" // whatever its template names
)

// spec is what there is to know of a format.
type spec struct {
	shape   Shape
	columns []string // as in a column mapping, those within messages included
	fill    func(*Shaper, *Record, Value) *badField
}

// inner are the columns of a message, not of a row.
var inner = []string{"from", "value", "role", "content"}

// aliases are what a column is also called; they count where no mapping names
// the column and the row does not have it.
var aliases = map[string][]string{
	"messages":          {"conversations"},                // Kiln's Hugging Face exports
	"conversations":     {"conversation"},                 // LMSYS
	"chosen":            {"chosen_messages"},              // LLaMA-Factory 1
	"rejected":          {"rejected_messages"},            //
	"prompt":            {"conversations", "instruction"}, // LLaMA-Factory's two formats
	"label":             {"kto_tag"},                      // LLaMA-Factory
	"completion":        {"output"},                       //
	"systemInstruction": {"system_instruction"},           // both spellings are Google's
}

// specOf returns what there is to know of a format, false when there is none of
// its name.
func specOf(format Format) (spec, bool) {
	switch format {
	case AlpacaFormat:
		return spec{Messages, []string{"instruction", "input", "output", "system", "history"}, (*Shaper).alpaca}, true
	case ShareGPTFormat:
		return spec{Messages, []string{"conversations", "from", "value", "system", "tools"}, (*Shaper).shareGPT}, true
	case MessagesFormat:
		return spec{Messages, []string{"messages", "role", "content", "tools"}, (*Shaper).messages}, true
	case PromptFormat:
		return spec{PromptCompletion, []string{"prompt", "completion", "role", "content", "from", "value", "tools"}, (*Shaper).promptCompletion}, true
	case TextFormat:
		return spec{Text, []string{"text"}, (*Shaper).text}, true
	case PreferenceFormat:
		return spec{Preference, []string{"prompt", "input", "chosen", "rejected", "system", "tools", "role", "content", "from", "value"}, (*Shaper).preference}, true
	case KTOFormat:
		return spec{Judged, []string{"messages", "prompt", "input", "completion", "label", "system", "tools", "role", "content", "from", "value"}, (*Shaper).kto}, true
	case SegmentsFormat:
		return spec{Segments, []string{"segments"}, (*Shaper).segments}, true
	case StepwiseFormat:
		return spec{Segments, []string{"prompt", "completions", "labels"}, (*Shaper).stepwise}, true
	}
	return specOfVendor(format)
}

func specOfVendor(format Format) (spec, bool) {
	switch format {
	case MOSSFormat:
		return spec{Messages, []string{"chat", "meta_instruction"}, (*Shaper).moss}, true
	case PanguFormat:
		return spec{Messages, []string{"context", "target", "targets", "system"}, (*Shaper).pangu}, true
	case SparkFormat:
		return spec{Messages, []string{"input", "target", "system", "history"}, (*Shaper).spark}, true
	case GeminiFormat:
		return spec{Messages, []string{"systemInstruction", "contents", "tools"}, (*Shaper).gemini}, true
	case SQuADFormat:
		return spec{Messages, []string{"context", "question", "answers", "is_impossible", "paragraphs"}, (*Shaper).question}, true
	case TemplateFormat:
		return spec{Text, nil, (*Shaper).templated}, true
	}
	return spec{}, false
}

// Formats are the names of all formats, the general ones first.
func Formats() []Format {
	return []Format{
		AlpacaFormat, ShareGPTFormat, MessagesFormat, PromptFormat, TextFormat, PreferenceFormat, KTOFormat,
		SegmentsFormat, StepwiseFormat, MOSSFormat, PanguFormat, SparkFormat, GeminiFormat, SQuADFormat, TemplateFormat,
	}
}
