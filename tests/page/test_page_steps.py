"""The page in a browser: what it shows at each step is what the tracer says of it."""

from __future__ import annotations

import re

import pytest
from made_runs import Open, gapped, preempted, recorded, renamed
from playwright.sync_api import Page, expect

from emu.trace.model import Recording
from emu.trace.steps import steps
from emu.views.names import with_target

RUNS = [("mcall", "arm", "modern"), ("mcall", "386", "2014"), ("morestack", "amd64", "modern"), ("gogo", "arm", "2011")]


@pytest.fixture(scope="module", params=RUNS, ids=" ".join)
def recording(request: pytest.FixtureRequest) -> Recording:
    return recorded(*request.param)


def step_to(page: Page, key: str, wanted: int) -> None:
    page.keyboard.press(key)
    page.wait_for_selector(f"body[data-step='{wanted}']", state="attached")


def shown_registers(page: Page) -> dict[str, tuple[str, bool, str]]:
    """Name -> the value shown (the new one where it changes), whether it is marked, what it points to."""
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#values tr")].map((row) => [row.querySelector("th").firstChild.data,
        row.querySelector(".value span").textContent, row.querySelector("th b") !== null,
        row.querySelector(".to")?.textContent ?? ""])"""
    )
    return {name: (value, marked, name_of) for name, value, marked, name_of in rows}


def shown_words(page: Page) -> list[tuple[int, str]]:
    """Addresses of the words in the tables of the frame and of structs, and what they hold after the step."""
    rows = page.evaluate(
        """() => [...document.querySelectorAll("#words tr[title], #fields tr[title]")].map(
        (row) => [row.title, row.querySelector(".value span").textContent])"""
    )
    assert rows
    return [(int(place, 16), text) for place, text in rows]


def test_every_step_is_shown_as_the_tracer_says_it(opened: Open, recording: Recording) -> None:
    names, columns = recording.header.names, recording.header.columns
    with opened(recording) as page:
        for step in steps(recording):
            if step.number:
                step_to(page, "ArrowRight", step.number)
            account, chips = step.account, page.locator("#now .chip").all_inner_texts()
            assert page.locator("#now .fact").all_inner_texts() == [
                f"step {step.number}", f"thread {step.thread}", f"g {account.g}",
                f"SP in {account.stack}, {account.depth} of {account.size} bytes", f"guard {account.guard}",
            ]
            assert ("switching: g and SP disagree" in chips) == account.switching
            assert set(step.notes) <= set(chips)
            assert page.inner_text("#now .where") == step.where
            current = page.inner_text("#lines [aria-current] .text")
            assert current.startswith(with_target(recording.header.program, step.text))
            found = shown_registers(page)
            assert list(found) == list(columns)
            assert {name for name, (_, marked, _) in found.items() if marked} == set(step.changed)
            before = dict(zip(columns, recording.rows(step.number, step.number + 1)[0].tolist(), strict=True))
            for name, (text, _, points) in found.items():
                value = step.changed.get(name, before[name])
                assert text == hex(value), name
                known = names.pointee(value)
                assert points == ("" if known == hex(value) else known), name
            memory = recording.state(step.number + 1).memory
            for place, text in shown_words(page):
                word = memory.word(place)
                assert text == ("?" if word is None else hex(word)), hex(place)
            moved = page.locator("#now .moved").all_inner_texts()
            assert moved == ([f"SP {step.sp_change:+}"] if step.sp_change else [])


def test_arrow_keys_buttons_and_the_address_go_to_a_step(opened: Open) -> None:
    recording = recorded("mcall", "arm")
    with opened(recording, at=21) as page:
        expect(page.locator("#at")).to_have_value("21")
        step_to(page, "ArrowLeft", 20)
        step_to(page, "End", recording.steps - 1)
        step_to(page, "ArrowRight", recording.steps - 1)
        step_to(page, "Home", 0)
        step_to(page, "ArrowLeft", 0)
        step_to(page, "PageDown", 10)
        page.get_by_role("button", name="Step forward").click()
        page.wait_for_selector("body[data-step='11']", state="attached")
        page.keyboard.press("/")
        page.keyboard.type("5")
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-step='5']", state="attached")
        page.wait_for_url("**#step=5")


def test_jumps_go_to_switches_guards_and_events(opened: Open) -> None:
    recording, _ = preempted()
    switches = [e.step for e in recording.events(0, recording.steps) if e.kind == "switch"]
    with opened(recording) as page:
        step_to(page, "g", 3)
        assert "guard=StackPreempt of g" in page.inner_text("#now .facts")
        step_to(page, "ArrowRight", 4)
        assert "guard StackPreempt" in page.inner_text("#now .facts")
        assert "guard=StackPreempt" in page.text_content("#columns svg")
        step_to(page, "g", 5)
        step_to(page, "G", 3)
        step_to(page, "Home", 0)
        step_to(page, "s", switches[0])
        assert page.locator("#list [aria-current]").count() >= 1
        step_to(page, "S", switches[0])
        step_to(page, "Home", 0)
        page.locator("#list button", has_text="switch g→g0").click()
        page.wait_for_selector(f"body[data-step='{switches[0]}']", state="attached")


def test_help_opens_on_a_question_mark_and_lists_the_keys(opened: Open) -> None:
    with opened(recorded("mcall", "arm")) as page:
        page.keyboard.press("?")
        expect(page.locator("dialog")).to_be_visible()
        assert "the next change of a guard" in page.inner_text("dialog")
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_be_hidden()


def test_the_frame_names_return_pc_and_arguments(opened: Open) -> None:
    with opened(recorded("morestack", "amd64"), at=23) as page:
        rows = page.locator("#words tr").all_inner_texts()
        below = next(row for row in rows if row.startswith("SP−8"))
        assert "return PC" in below
        assert "morestack+0x7b" in below
        assert "@23" in below
    with opened(recorded("mcall", "386", "2014"), at=3) as page:
        rows = page.locator("#words tr").all_inner_texts()
        assert any(row.startswith("▸SP") and "return PC" in row for row in rows)
        assert any(row.startswith("SP+4") and "at argument 0" in row for row in rows)


def test_stacks_have_guard_red_zone_and_sp(opened: Open) -> None:
    with opened(recorded("mcall", "arm"), at=21) as page:
        column = page.locator("#columns .column").filter(has_text="g0").first
        assert "red zone" in (column.text_content() or "")
        assert page.locator("#columns .guard").count() >= 2
        assert page.locator("#columns .arrow").count() == 1
        assert page.locator("#columns .way").count() == 1
        label = page.get_attribute("#columns svg", "aria-label") or ""
        assert re.fullmatch(r"SP is in g stack, 4096 of 8192 bytes used; the step moves it to g0 stack, .*", label)


def test_nothing_of_a_trace_is_read_as_html(opened: Open) -> None:
    evil = '<script>alert(1)</script><img src=x onerror="alert(2)">@@DATA@@'
    with opened(renamed(recorded("mcall", "arm"), "mcall", evil)) as page:
        assert evil in page.inner_text("h1")
        assert evil in page.title()
        assert evil in page.inner_text("#now .where")
        assert page.locator("img").count() == 0
        assert evil in (page.text_content("#columns svg") or "").replace("…", "") or evil in page.inner_text("#lines")


def test_steps_without_rows_are_named_and_passed_over(opened: Open) -> None:
    recording = gapped(8, 14)
    with opened(recording, at=7) as page:
        step_to(page, "ArrowRight", 14)
        assert "6 steps before this one are not recorded" in page.inner_text("#now")
        page.keyboard.press("/")
        page.keyboard.type("11")
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-step='7']", state="attached")
        changed = [name for name, (_, marked, _) in shown_registers(page).items() if marked]
        assert changed == []  # what step 7 left is not on record
