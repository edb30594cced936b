"""Adapter tags in prompts: what A1111's users type, and what is refused with a clear message."""

from __future__ import annotations

import time

import pytest

from ecurie.errors import InvalidRequest, NotBuiltYet, RequestError
from ecurie.formats.prompt_tags import Tag, parse_tag, take_tags

TWELVE = "1,0,0.5,-1,0,1,1,1,1,1,1,.5"


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("x", Tag("x")),
        ("x:0.8", Tag("x", 0.8, 0.8)),
        ("x:1:0.5", Tag("x", 1, 0.5)),
        ("x:-.5", Tag("x", -0.5, -0.5)),
        ("x:te=0.3", Tag("x", 0.3, 0.3)),
        ("x:unet=0.3", Tag("x", None, 0.3)),
        ("x:unet=0.3:te=1", Tag("x", 1, 0.3)),
        ("x:0.8:te=0.2", Tag("x", 0.2, 0.2)),
        ("x:0.8:unet=0.2", Tag("x", 0.8, 0.2)),
        ("My Style v1.2: 0.8 ", Tag("My Style v1.2", 0.8, 0.8)),
        ("x:", Tag("x")),
        (f"x:1:lbw={TWELVE}", Tag("x", 1, 1, (1, 0, 0.5, -1, 0, 1, 1, 1, 1, 1, 1, 0.5))),
        (f"x:lbw={TWELVE}:0.4", Tag("x", 0.4, 0.4, (1, 0, 0.5, -1, 0, 1, 1, 1, 1, 1, 1, 0.5))),
    ],
)
def test_a_tag_says_name_and_weights(text: str, tag: Tag) -> None:
    assert parse_tag(text, f"<lora:{text}>") == tag
    assert take_tags(f"cat <lora:{text}>") == ("cat", [tag])
    assert take_tags(f"cat <lyco:{text}>") == ("cat", [tag])


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        ("a cat", "a cat"),
        ("a cat, ", "a cat, "),
        ("a cat <lora:x>", "a cat"),
        ("a cat, <lora:x>", "a cat"),
        ("a cat, <lora:x>,", "a cat"),
        ("<lora:x>, a cat", "a cat"),
        ("<lora:x> a cat", "a cat"),
        ("a cat, <lora:x>, red", "a cat, red"),
        ("a cat <lora:x>, red", "a cat, red"),
        ("a cat, <lora:x> red", "a cat, red"),
        ("a cat <lora:x> red", "a cat red"),
        ("a cat<lora:x>", "a cat"),
        ("a <lora:x>, <lora:y>, <lyco:z:1>", "a"),
        ("a, <lora:x> <LoRA:y>\n<lyco:z:1> b", "a, b"),
        ("a <lora:x>, <lora:y> b", "a, b"),
        ("(cat, <lora:x>)1.2, red", "(cat)1.2, red"),
        ("(<lora:x>, cat)1.2", "(cat)1.2"),
        ("<lora:x>", ""),
        ("a < b, <hypernet:y:1> c", "a < b, <hypernet:y:1> c"),
    ],
)
def test_a_tag_leaves_no_comma_over(prompt: str, left: str) -> None:
    assert take_tags(prompt)[0] == left


@pytest.mark.parametrize(
    ("tag", "error", "reason"),
    [
        ("<lora::1>", InvalidRequest, "<lora::1> names no adapter"),
        ("<lora:>", InvalidRequest, "names no adapter"),
        ("<lora: :1>", InvalidRequest, "names no adapter"),
        ("<lora:x:abc>", InvalidRequest, "<lora:x:abc>: 'abc' is no number"),
        ("<lora:x:1e9>", InvalidRequest, "'1e9' is no number"),
        ("<lora:x:nan>", InvalidRequest, "'nan' is no number"),
        ("<lora:x:te=much>", InvalidRequest, "'much' is no number"),
        ("<lora:x:5>", InvalidRequest, "from -4 to 4, not 5"),
        ("<lora:x:1:-4.5>", InvalidRequest, "from -4 to 4"),
        ("<lora:x:1:weight=1>", InvalidRequest, "'weight=' is not known"),
        ("<lora:x:0.8", InvalidRequest, "'<lora:x:0.8' is not closed"),
        ("<lora:x:0.8, <lora:y>", InvalidRequest, "is not closed"),
        ("<lora:x:1:1:4>", NotBuiltYet, "dyn="),
        ("<lora:x:1:dyn=4>", NotBuiltYet, "dyn="),
        ("<lora:x:1:stop=10>", NotBuiltYet, "stop="),
        ("<lora:x:1:lbw=1,2,3>", InvalidRequest, "3 numbers: a list of blocks has 12, 17, 20, 26"),
        ("<lora:x:1:lbw=OUTALL>", InvalidRequest, "lbw=OUTALL is no list of numbers"),
        (f"<lora:x:1:lbw=R{TWELVE[1:]}>", InvalidRequest, "is no list of numbers"),
        (f"<lora:x:1:lbw=5{TWELVE[1:]}>", InvalidRequest, "from -4 to 4"),
    ],
)
def test_a_tag_that_cannot_be_read_is_refused(tag: str, error: type[RequestError], reason: str) -> None:
    with pytest.raises(error) as caught:
        take_tags(f"a cat {tag}")
    assert reason in str(caught.value)


@pytest.mark.parametrize("hostile", ["<lora:" * 1600, "<lora:x> , " * 900, " ," * 5000 + "<lora:x>"])
def test_hostile_prompts_take_no_time(hostile: str) -> None:
    began = time.process_time()
    try:
        take_tags(hostile)
    except InvalidRequest:
        pass
    assert time.process_time() - began < 1
