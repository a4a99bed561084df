"""The two pages a commander signs: one self-contained HTML file, from the evidence and the briefing beside it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from banyan.findings import VerdictKind
from validation import report_view as view
from validation import wording
from validation.briefing import REHEARSED_WITHIN, Briefing, Declared, Promise, Reservation
from validation.facts import DegradedWriteBack, EvidenceFacts
from validation.gate import Judgement, judge
from validation.pack_numbers import SixNumber, Standing, six_numbers
from validation.pack_words import WORDS
from validation.reasons import ReasonKind
from validation.rendering import REPORT_FOLDER, content_hash, page_style, render_page, trusted
from validation.sign_off import check_sign_offs
from validation.speech import Speech
from validation.text import Language, Text
from validation.trend import History, draw_path, waiver_lines

ROLES = ("security", "commander")
"""Roles that sign a pack by hand beside those the profile asks."""
MOST_RESERVATIONS = 4
_STANDINGS = {
    Standing.REACHED: ("go", "go", "st_reached"),
    Standing.WAIVED: ("waived", "waived", "st_waived"),
    Standing.MISSED: ("nogo", "nogo", "st_missed"),
    Standing.NOT_RUN: ("idle", "idle", "st_not_run"),
    Standing.NOT_ASKED: ("idle", "idle", "st_not_asked"),
    Standing.NOT_CONCERNED: ("idle", "lock", "st_not_concerned"),
}


@dataclass(frozen=True, slots=True)
class Pack:
    """What a pack is made from, and what follows from it alone."""

    facts: EvidenceFacts
    history: History
    briefing: Briefing
    digest: str
    previous_id: str | None
    folder_name: str

    @property
    def judgement(self) -> Judgement:
        """Judge the evidence as the gate did when the pack was built, with the signatures it holds."""
        evidence_id, at = self.briefing.evidence_id, self.briefing.built_at
        checked = check_sign_offs(self.briefing.sign_offs, evidence_id=evidence_id, signers=self.briefing.signers)
        return judge(self.facts.profile, self.facts, checked, now=at)

    @property
    def numbers(self) -> tuple[SixNumber, ...]:
        """Give the six numbers."""
        return six_numbers(self.facts, self.history)

    @property
    def number(self) -> str:
        """Give the number of the pack: the declared one, else the department and the evidence."""
        declared = self.briefing.declared.number if self.briefing.declared else ""
        return declared or f"{self.facts.department.code}-{self.briefing.evidence_id[:8]}"

    @property
    def reservations(self) -> tuple[Reservation, ...]:
        """Give what is not perfect: what people declared, and what the evidence itself knows."""
        declared = self.briefing.declared.reservations if self.briefing.declared else ()
        return (*declared, *_known(self.facts))


def render_pack(pack: Pack, *, language: Language) -> str:
    """Render the two sheets of a pack as one HTML page; the same pack gives the same bytes."""
    speech = Speech(language, pack.facts.department.time_zone, WORDS)
    style = page_style(REPORT_FOLDER / "pack.css")
    facts, briefing, judgement = pack.facts, pack.briefing, pack.judgement
    shown = {
        "s": speech,
        "facts": facts,
        "briefing": briefing,
        "judgement": judgement,
        "declared": briefing.declared or Declared(),
        "number": pack.number,
        "numbers": pack.numbers,
        "reservations": pack.reservations,
        "most": MOST_RESERVATIONS,
        "digest": pack.digest,
        "previous_id": pack.previous_id,
        "folder_name": pack.folder_name,
        "look": view.look_of(judgement, facts),
        "standings": _STANDINGS,
        "domains": speech.series([speech.text(wording.domain_title(domain)) for domain in facts.domains]),
        "missing": speech.series([speech.text(wording.role_title(role)) for role in judgement.missing_roles]),
        "paper": view.paper_sentence(facts),
        "cards": [*view.sign_cards(facts, judgement), *_hand_cards(judgement, facts)],
        "degraded": sum(each.count for each in facts.degraded),
        "degraded_kinds": _count_kinds(facts.degraded),
        "is_ended": _is_ended(judgement),
        "spark_of": draw_path,
        "wording": wording,
        "style": trusted(style),
        "style_hash": content_hash(style),
        **_sayings(pack, speech, judgement),
    }
    return render_page(REPORT_FOLDER, "pack.html.j2", shown)


def _count_kinds(degraded: Sequence[DegradedWriteBack]) -> list[tuple[Text, int]]:
    """Count edits that cannot be written back by their kind, the most frequent first; the list names the columns."""
    counted: Counter[Text] = Counter()
    for each in degraded:
        counted[each.kind] += each.count
    return counted.most_common()


def _sayings(pack: Pack, speech: Speech, judgement: Judgement) -> dict[str, object]:
    facts, briefing = pack.facts, pack.briefing
    declared = briefing.declared
    decision = speech.word("default_decision", facts.closure.replace("+", " + "))
    if declared is not None and declared.decision is not None:
        decision = speech.text(declared.decision)
    most = _duration(briefing.most_outage_ms, speech)
    outage = speech.word("outage_unknown", most)
    if briefing.expected_outage_ms is not None:
        outage = speech.word("outage", _duration(briefing.expected_outage_ms, speech), most)
    return {
        "decision": decision,
        "outage": outage,
        "verdict_sentence": _verdict(facts, judgement, speech),
        "promise_look": _promise_look(briefing),
        "promise_sentence": _promise(briefing.promise, speech, is_live=briefing.phase.canonical_writes),
        "rehearsal_sentence": _rehearsal(briefing, speech),
        "decides": _decides(declared.decides if declared else (), speech),
    }


def _verdict(facts: EvidenceFacts, judgement: Judgement, speech: Speech) -> str:
    if judgement.kind is VerdictKind.NO_GO:
        return speech.word("not_all", speech.count(len(judgement.reasons), "reason"))
    title, measured = speech.text(facts.profile.title), speech.instant(facts.measured_at)
    counted = [line for line in waiver_lines(facts) if line.is_counted]
    if not facts.waivers:
        return speech.word("all_asked", title, measured)
    findings = speech.count(sum(line.used for line in counted), "finding")
    return speech.word("all_accepted", title, measured, findings, speech.count(len(counted), "waiver"))


def _promise_look(briefing: Briefing) -> view.VerdictLook:
    nothing = Text("", "")
    if briefing.promise.blocked_by:
        return view.VerdictLook("nogo", "nogo", nothing, "", "")
    if not briefing.promise.is_proved(briefing.built_at):
        return view.VerdictLook("waived", "waived", nothing, "", "")
    return view.VerdictLook("go", "back", nothing, "", "")


def _promise(promise: Promise, speech: Speech, *, is_live: bool) -> str:
    takes = speech.seconds(promise.seconds) if promise.seconds is not None else None
    if promise.blocked_by or (is_live and not promise.is_open):
        return speech.word("promise_no")
    if promise.is_open and promise.until is not None and takes is not None:
        return speech.word("promise_now", speech.instant(promise.until), takes)
    days = speech.count(promise.days, "day")
    return speech.word("promise_before_unknown", days) if takes is None else speech.word("promise_before", days, takes)


def _rehearsal(briefing: Briefing, speech: Speech) -> str:
    past = briefing.promise.rehearsed
    if past is None:
        return speech.word("rehearsed_never")
    figures = (_duration(past.back_ms, speech), speech.count(past.edits, "edit"), speech.number(past.lost))
    said = [speech.word("rehearsed", speech.day(past.at), *figures)]
    if past.lost:
        said.append(speech.word("rehearsed_lost"))
    if briefing.built_at - past.at > REHEARSED_WITHIN:
        said.append(speech.word("rehearsed_late", speech.number(REHEARSED_WITHIN.days)))
    return " ".join(said)


def _decides(names: tuple[str, ...], speech: Speech) -> str:
    if not names:
        return speech.word("decides_nobody")
    if len(names) == 1:
        return speech.word("decides", names[0])
    return speech.word("decides_else", names[0], names[1])


def _hand_cards(judgement: Judgement, facts: EvidenceFacts) -> list[view.SignCard]:
    others = [role for role in ROLES if role not in facts.profile.roles]
    return [view.sign_card(judgement, role, is_counted=True) for role in others]


def _is_ended(judgement: Judgement) -> bool:
    stale = [reason for reason in judgement.reasons if reason.kind is ReasonKind.STALE and not reason.level]
    return judgement.kind is VerdictKind.NO_GO and bool(stale)


def _known(facts: EvidenceFacts) -> list[Reservation]:
    """Give the reservations that the evidence holds: each waiver with its approver and last day, and the quarantine."""
    words = WORDS["r_waiver"]
    found = [
        Reservation(
            Text(*(words.say(language).format(w.number, w.level + " " + w.rule, w.reason) for language in Language)),
            w.approver,
            w.until.date().isoformat(),
        )
        for w in facts.waivers
    ]
    fields = sum(each.fields for each in facts.quarantined_fields)
    if facts.rows.quarantined or fields:
        counted = [
            WORDS["r_quarantine"]
            .say(language)
            .format(wording.count(facts.rows.quarantined, "row", language), wording.count(fields, "field", language))
            for language in Language
        ]
        found.append(Reservation(Text(*counted), "", ""))
    return found


def _duration(milliseconds: int, speech: Speech) -> str:
    if milliseconds < 1_000:
        return f"{speech.number(milliseconds)} ms"
    return speech.seconds(round(milliseconds / 1_000))
