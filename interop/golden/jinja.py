"""Writes steps/internal/chat/testdata/features.jsonl: what Jinja2, set up as transformers sets it up,
makes of a hundred small templates, each of one feature of the language.

    interop/.venv/bin/python -P interop/golden/jinja.py
"""

import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template

CONTEXT = {
    "s": "Hello World",
    "padded": "  two\n lines \t",
    "cjk": "日本語テキスト",
    "n": 7,
    "f": 2.5,
    "yes": True,
    "no": False,
    "xs": [3, 1, 2],
    "words": ["pear", "Apple", "fig", "apple"],
    "rows": [
        {"role": "user", "n": 2, "tags": ["a"]},
        {"role": "assistant", "n": 1, "tags": []},
        {"role": "user", "n": 3, "tags": ["b", "c"], "extra": "x"},
    ],
    "d": {"b": 1, "a": {"z": [1, 2.0, True, None, "é<&>'\""]}, "c": "x"},
    "empty": [],
    "blank": "",
}

SNIPPETS = r"""
{{ s | upper }} {{ s | lower }} {{ s | title }} {{ s | capitalize }}
{{ padded | trim }}|{{ padded.strip() }}|{{ padded.lstrip() }}|{{ padded.rstrip() }}|
{{ 'xxaxx'.strip('x') }} {{ 'xxaxx'.lstrip('x') }} {{ 'xxaxx'.rstrip('x') }}
{{ s | replace('l', 'L') }} {{ s.replace('l', 'L', 1) }}
{{ s.split() | join('|') }} {{ s.split('o') | join('|') }} {{ s.split('o', 1) | join('|') }}
{{ s.startswith('He') }} {{ s.endswith('d') }} {{ s.find('W') }} {{ s.find('q') }}
{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ 'abc'.capitalize() }}
{{ s[0] }}{{ s[-1] }} {{ s[1:4] }} {{ s[:-2] }} {{ s[::-1] }} {{ s[::2] }}
{{ cjk[0] }} {{ cjk[1:3] }} {{ cjk | length }} {{ cjk[-2:] }}
{{ s | length }} {{ xs | length }} {{ d | length }} {{ xs | count }}
{{ xs[0] }} {{ xs[-1] }} {{ xs[1:] }} {{ xs[:2] }} {{ xs[::-1] }} {{ xs[-2:] }}
{{ xs | first }} {{ xs | last }} {{ xs | sum }} {{ xs | min }} {{ xs | max }}
{{ xs | sort }} {{ xs | sort(reverse=true) }} {{ xs | reverse | list }}
{{ words | sort }} {{ words | sort(case_sensitive=true) }}
{{ words | unique | list }} {{ words | map('upper') | list }} {{ words | map('length') | list }}
{{ words | join(', ') }} {{ xs | join }} {{ rows | join(',', attribute='n') }}
{{ rows | map(attribute='role') | list }} {{ rows | map(attribute='extra', default='-') | list }}
{{ rows | selectattr('role', 'equalto', 'user') | map(attribute='n') | list }}
{{ rows | rejectattr('role', '==', 'user') | map(attribute='n') | list }}
{{ rows | selectattr('extra', 'defined') | list | length }} {{ rows | selectattr('tags') | list | length }}
{{ xs | select('gt', 1) | list }} {{ xs | reject('odd') | list }} {{ xs | select('even') | list }}
{{ rows | sort(attribute='n') | map(attribute='n') | list }}
{{ rows | groupby('role') | map('first') | list }}
{% for k, v in d | dictsort %}{{ k }}{{ v }}{% endfor %} {{ d | items | list | length }}
{{ d | tojson }}
{{ d | tojson(indent=2) }}
{{ d | tojson(sort_keys=true) }} {{ d | tojson(ensure_ascii=true) }}
{{ d | tojson(separators=(',', ':')) }}
{{ cjk | tojson }} {{ n | tojson }} {{ yes | tojson }} {{ none | tojson }} {{ f | tojson }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }};{% endfor %} {{ d.keys() | list }} {{ d.get('b') }} {{ d.get('q', 'none') }}
{{ d['b'] }} {{ d.b }} {{ d.a.z[0] }} {{ d['a']['z'][-1] }}
{{ d }} {{ xs }} {{ [1, 'a', none, true, 2.0] }} {{ {'k': "it's"} }}
{{ undefined_thing }}|{{ undefined_thing | default('x') }}|{{ blank | default('y') }}|{{ blank | default('y', true) }}|{{ d.q | default('z') }}
{{ undefined_thing is defined }} {{ s is defined }} {{ undefined_thing is undefined }} {{ d.q is defined }}
{{ undefined_thing.attribute }}
{{ undefined_thing + 'x' }}
{{ s + 1 }}
{{ s + d }}
{{ s + none }}
{{ n + 1 }} {{ n - 10 }} {{ n * 2 }} {{ n / 2 }} {{ n // 2 }} {{ n % 4 }} {{ 2 ** 3 }}
{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ -n }} {{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }}
{{ 'a' * 3 }} {{ 'a' ~ 1 ~ true ~ 'b' }} {{ 1 ~ 2 + 3 }} {{ 'a' + 'b' ~ 'c' }}
{{ [1] + [2, 3] }} {{ ([1] + [2]) | length }} {{ f + 1 }} {{ n / 7 }} {{ 1e3 }} {{ 0.1 + 0.2 }}
{{ 1 == 1.0 }} {{ 'a' == 'a' }} {{ 1 == '1' }} {{ xs == [3, 1, 2] }} {{ none == none }} {{ d.a == d.a }}
{{ 1 < 2 }} {{ 'a' < 'b' }} {{ 2 >= 2 }} {{ 1 != 2 }} {{ 1 < 2 and 2 < 3 }}
{{ 1 in xs }} {{ 9 not in xs }} {{ 'ell' in s }} {{ 'b' in d }} {{ 'role' in rows[0] }}
{{ yes and no }} {{ yes or no }} {{ not yes }} {{ blank or 'x' }} {{ s and 'y' }} {{ not blank and not empty }}
{{ 'a' if yes else 'b' }} {{ 'a' if no }}| {{ ('a' if no else 'b') + 'c' }} {{ 'x' + ('a' if yes else 'b') }}
{{ 'a' if no else 'b' if yes else 'c' }} {{ (xs if yes else [])[0] }}
{{ s is string }} {{ n is string }} {{ n is number }} {{ f is float }} {{ n is integer }} {{ yes is boolean }}
{{ d is mapping }} {{ xs is iterable }} {{ s is iterable }} {{ xs is sequence }} {{ d is sequence }} {{ n is iterable }}
{{ none is none }} {{ s is not none }} {{ yes is true }} {{ no is false }} {{ yes is sameas true }}
{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is eq 7 }} {{ n is gt 3 }} {{ n is in [7] }}
{{ s is lower }} {{ 'ab' is lower }} {{ 'AB' is upper }}
{{ s is filter }}
{{ n is defined and n > 5 }} {{ n is not defined or n > 5 }}
{% for x in xs %}{{ loop.index }}/{{ loop.length }}:{{ loop.index0 }}:{{ loop.revindex }}:{{ loop.revindex0 }}:{{ loop.first }}:{{ loop.last }} {% endfor %}
{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}
{% for x in xs %}{{ loop.cycle('a', 'b') }}{% endfor %} {% for x in xs %}{{ loop.changed(x > 1) }}{% endfor %}
{% for x in empty %}x{% else %}nothing{% endfor %}
{% for x in xs if x > 1 %}{{ loop.index }}{{ x }}{% endfor %}
{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %} {% for x in xs %}{{ x }}{% if x == 1 %}{% break %}{% endif %}{% endfor %}
{% for r in rows %}{% for t in r.tags %}{{ loop.index }}{{ t }}{% endfor %}{{ loop.index }}{% endfor %}
{% for i in range(3) %}{{ i }}{% endfor %} {{ range(1, 10, 4) | list }} {{ range(3, 0, -1) | list }}
{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %} {% for c in 'abc' %}{{ c }}-{% endfor %}
{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{% endfor %}{{ x }}
{% set ns = namespace(t=0, l=[]) %}{% for i in xs %}{% set ns.t = ns.t + i %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.t }} {{ ns.l }}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set t %}block {{ n }}{% endset %}{{ t }} {{ t | upper }}
{% if no %}a{% elif n > 5 %}b{% else %}c{% endif %}{% if not no and (n > 9 or yes) %}d{% endif %}
{% macro m(a, b='B') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}
{% macro outer(x) %}{{ inner(x) }}{% endmacro %}{% macro inner(x) %}<{{ x }}>{% endmacro %}{{ outer(5) }}
{% macro rec(k) %}{{ k }}{% if k > 0 %}{{ rec(k - 1) }}{% endif %}{% endmacro %}{{ rec(3) }}
{% macro c() %}({{ caller() }}){% endmacro %}{% call c() %}inside{% endcall %}
{% filter upper %}loud {{ s }}{% endfilter %} {% with q = 5 %}{{ q }}{% endwith %}
{% raw %}{{ not }} {% this %}{% endraw %} {# comment #}x
a {%- if yes -%} b {%- endif -%} c
  {% if yes %}
  kept
  {% endif %}
  {{- ' joined ' -}}  
{{ "quote ' \" \\ \n \t end" }} {{ 'it\'s' }} {{ '\u00e9' }}
{{ raise_exception('stop here') }}
{{ raise_exception('n is ' ~ n) }}
{{ s | indent(2) }} {{ 'a\nb' | indent }} {{ 'a\nb' | indent(2, first=true) }}
{{ s | truncate(8) }} {{ s | wordcount }} {{ s | center(15) }}|
{{ '%s-%s' | format('a', 1) }}
{{ 3.7 | int }} {{ '12' | int }} {{ 'x' | int }} {{ '1.5' | float }} {{ 2.345 | round(2) }} {{ -3 | abs }} {{ n | string + '!' }}
{{ xs | batch(2) | list }} {{ 'abc' | list }}
{{ [[1, 2], [3]] | sum(start=[]) }}
{{ words | map('replace', 'p', 'P') | join(' ') }} {{ words | select('in', ['fig']) | list }}
{{ (s | lower).split(' ')[0] }} {{ ('  x ').strip() }} {{ (s.split(' ') | last).lower() }} {{ [s][0].upper() }}
{{ s.splitlines() }} {{ 'a\nb\n'.splitlines() }} {{ 'a,b,'.split(',') }} {{ ','.join(words) }}
{{ '{} and {}'.format('a', 1) }} {{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a' in 'abc' and 'x' not in 'abc' }}
{{ 'x'.join(['a', 'b']) }} {{ 'a-b-c'.rsplit('-', 1) }} {{ 'aXbX'.count('X') }}
{{ rows[0].role }} {{ rows[-1]['tags'][1] }} {{ rows[1:][0].n }} {{ (rows | first).role }} {{ rows[n - 5].role }}
{{ 5 if rows[0].extra is defined else 6 }} {{ rows[2].extra if rows[2].extra else '' }}{{ ', ' if not no }}
{{ dict(a=1, b='x') }}
{{ {'a': 1, 'b': [2]}.b }} {{ {'x': {'y': 1}}['x']['y'] }}
{{ none is defined }} {{ none | default('x') }} {{ d.a.z[3] }} {{ none ~ 'x' }}
{{ none }}|{{ true }}|{{ True }}|{{ None }}|{{ false }}
{{ joiner is defined }} {{ namespace is defined }}
{% generation %}mine{% endgeneration %} and yours
{{ s[20:] }}|{{ xs[9:] }}|{{ s[3:1] }}|{{ xs[5] }}|
{{ [1, 2, 3][1] }} {{ (1, 2)[0] }} {{ 'abc'[1] }} {{ {'a': 'b'}['a'] }}
{{ not s == 'x' }} {{ not (s == 'x') }} {{ n > 1 and not n > 100 }} {{ n in [1, 7] and n is odd }}
{% if s is string and s %}t{% endif %}{% if rows and rows[0].role == 'user' %}u{% endif %}{% if rows[0]['role'] != 'system' %}v{% endif %}
{{ nope is none }} {{ rows[0].nope is none }} {{ rows[0].nope is not none }} {{ d.get('q') is none }} {{ d.get('q') }} {{ (nope or none) is none }}
{% macro m(a, b=none) %}{{ a is none }}{{ a is defined }}{{ b is none }}{{ b }} {% endmacro %}{{ m() }}{{ m(none) }}{{ m(1, 2) }}{{ m(b=none) }}
{% macro m(a, b='c') %}{{ a }}{{ b }} {% endmacro %}{% set args = ['x', 'y'] %}{{ m(*args) }}{{ m(*['z']) }}{% set all = [m] %}{{ all[0](*args) }}
{{ [none][0] is none }} {{ (none if yes else 1) is none }} {% for x in [none, 1] %}{{ x is none }}{% endfor %} {{ {'a': none}.a is none }}
{{ s.nothing }}|{{ xs.nothing }}|{{ d.nothing }}|
{{ d.nothing.more }}
{{ s() }}
{{ s | nofilter }}
{{ s is notest }}
""".strip("\n")

PAIRED = {  # snippets of several lines
    "  {% if yes %}": 4,
}


def snippets():
    lines = SNIPPETS.split("\n")
    while lines:
        n = PAIRED.get(lines[0], 1)
        yield "\n".join(lines[:n])
        lines = lines[n:]


def main():
    path = pathlib.Path(__file__).resolve().parents[2] / "steps/internal/chat/testdata/features.jsonl"
    with path.open("w") as f:
        f.write(json.dumps({"context": CONTEXT}, ensure_ascii=False) + "\n")
        for source in snippets():
            row = {"template": source}
            try:
                row["rendered"] = _compile_jinja_template.__wrapped__(source).render(**CONTEXT)
            except Exception as e:  # whatever is wrong with it, Jinja refuses
                row["error"] = f"{type(e).__name__}: {e}"
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


main()
