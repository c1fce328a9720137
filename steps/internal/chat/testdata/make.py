"""Makes rendered.jsonl: templates rendered by Jinja2 set up as transformers sets
it up. Needs jinja2 3.1.

    python3 make.py
"""
import json
import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


def environment():
    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


TEMPLATES = {
    "blocks": """{{ bos_token }}
{% for m in messages %}
    {% if m.role == 'user' %}
Q: {{ m.content }}
    {% elif m['role'] == 'assistant' %}
A: {{ m.content }}{{ eos_token }}
    {% else %}
[{{ m.role }}] {{ m.content | trim }}
    {% endif %}
    {# a comment on a line of its own #}
{% endfor %}
{% if add_generation_prompt %}
A:{% endif %}

""",
    "dashes": """{%- for m in messages -%}
    {{- '<' + m.role + '>\\n' -}}
    {{ m.content }}
    {{- "\\n</" ~ m.role ~ ">" }}
{%- endfor %}
{%- if add_generation_prompt %} {{- '<assistant>\\n' -}} {% endif -%}
""",
    "conditional": """{% for m in messages %}{{ ('first ' if loop.first else ('last ' if loop.last else 'mid ')) + m.role }}{{ ',' if not loop.last }}{% endfor %}
{% set head = messages[0].content if messages[0].role == 'system' else 'none' if messages|length > 1 else 'single' %}{{ head }}
{{ [1 if true else 2, 'a' if false else 'b'] | join('-') }} {{ (messages if messages else [])|length }} {{ ('x' if false) }}|{{ ('  p ' if true else 'q') | trim }}|{{ dict_value if dict_value is defined else 'undefined' }}
""",
    "strings": r"""{{ 'it\'s' }} {{ "a\"b" }} {{ 'tab\tnew\nline \\ \x41 \u00e9 \q' }} {{ '}} {% {{ #}' }} {{ "日本"[1:] }} {{ 'a' 
  + "b" }}
{% raw %}{{ 'not' if it else 'rendered' }}{% endraw %}
{{- "it's" | replace("'", '"') }}
""",
    "lists": """{{ messages[-1].role }} {{ messages[-1]['content'] }} {{ messages[1:] | length }} {{ (messages | last).role }} {{ 'a,b'.split(',')[-1] }} {{ 'a'.split(',')[-1] }}
{{ messages | map(attribute='role') | join(' ') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ range(2, 8, 3) | list }}
{% for m in messages[::-1] %}{{ loop.index0 }}{{ m.role[:1] }}{% endfor %} {% for m in messages if m.role != 'user' %}{{ loop.index }}/{{ loop.length }} {% endfor %}
{% for m in messages %}{% if loop.index == 2 %}{% continue %}{% endif %}{% if loop.index > 3 %}{% break %}{% endif %}{{ loop.index }}{% endfor %}
{% set ns = namespace(n=0, last='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.last = m.role %}{% endfor %}{{ ns.n }} {{ ns.last }}
""",
    "json": """{{ messages[0] | tojson }}
{{ messages | tojson(indent=2) }}
{% if tools %}{% for t in tools %}{{ t | tojson }} {{ t.function.name }} {{ t['function']['parameters'] is mapping }}
{% endfor %}{{ tools | tojson(indent=4) }}{% endif %}
{% for k, v in messages[0].items() %}{{ k }}={{ v | length }};{% endfor %}{% for k, v in messages[0] | items %}{{ k }}.{% endfor %}
{{ messages[0].get('name', 'nobody') }} {{ 'name' in messages[0] }} {{ messages[0].name is defined }}
""",
    "macro": """{% macro turn(role, content, end='!') %}
<{{ role }}>{{ content }}{{ end }}
{% endmacro %}
{% for m in messages %}{{ turn(m.role, m.content, end='?') if m.role == 'user' else turn(m.role, m.content) }}{% endfor %}
{% set text %}
captured {{ messages | length }}
{% endset %}
{{ text | trim | upper }}
""",
    "space": """ {% if true %} mid {% endif %} {% if true %}
  {% if true %}  in{% endif %}  out
\t{#- minus #}
 a {%- if true -%} b {%- endif +%}
c {%+ if true %}
  d
    {%+ if true %}e{% endif %}
{% endif %}
  {{ 'x' }}
 {{- 'y' -}}
  z {# c #} {# d #}
{% for m in messages %} {{ m.role }} {% endfor %}
  {% raw %}
  raw {{ x }}
  {% endraw %}
  end
{% endif %}


""",
    "strict": """{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{{ m['content'] | trim + '|' }}{% endfor %}""",
    "dates": """{% if not today is defined %}{% if strftime_now is defined %}{% set today = strftime_now('%Y') %}{% else %}{% set today = 'then' %}{% endif %}{% endif %}{{ today }} {{ messages[0].content }}""",
}

CALL = [{"type": "function", "function": {"name": "look", "arguments": {"z": 1, "a": [1.5, True, None, {}, []], "u": "é<&>\u2028\\\"'\n\x01"}}}]
TOOLS = [{"type": "function", "function": {"name": "look", "description": "it's", "parameters": {"type": "object", "properties": {}, "maximum": 1e16, "small": 0.00001}}}]
CONVERSATIONS = [
    ([{"role": "user", "content": "Hello"}], None),
    ([{"role": "user", "content": " two\nlines \n"}, {"role": "assistant", "content": "日本 <b> & 'q' \"d\""}], None),
    ([{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "{{ x }}{% if %}"}, {"role": "assistant", "content": "Ok"}, {"role": "user", "content": "And?"}], None),
    ([{"role": "user", "content": "look"}, {"role": "assistant", "content": "", "tool_calls": CALL}, {"role": "tool", "content": "seen", "name": "look"}], TOOLS),
]


def main():
    with open("rendered.jsonl", "w") as f:
        for name, source in TEMPLATES.items():
            for messages, tools in CONVERSATIONS:
                for generate in (False, True):
                    row = {"name": name, "template": source, "generate": generate}
                    row["messages"] = [dict(m, tool_calls=json.dumps(m["tool_calls"], ensure_ascii=False)) if "tool_calls" in m else m for m in messages]
                    row["tools"] = json.dumps(tools, ensure_ascii=False) if tools else ""
                    try:
                        row["rendered"] = environment().from_string(source).render(messages=messages, tools=tools, documents=None, add_generation_prompt=generate, bos_token="<s>", eos_token="</s>")
                    except Exception as e:
                        row["error"] = str(e)
                    f.write(json.dumps(row, ensure_ascii=False) + "\n")


main()
