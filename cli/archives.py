"""What a department may keep no longer: the list for the archives administration, by series, counts and years."""

from cli.places import current_project
from cli.tables import print_json, print_line, print_next, print_table, thousands


def tell_archives(dept: str, *, as_json: bool) -> None:
    """Judge the terms of retention on each legacy system of a department, and print what is past; loads nothing."""
    from sync.movement import judge_archives, sources_of
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        judged = {str(source): judge_archives(workspace, source) for source in sources_of(workspace, dept)}
    if as_json:
        print_json(
            {
                name: None
                if found is None
                else {
                    "as_of": found.terms.as_of.isoformat(),
                    "participations": found.terms.participations.height,
                    "past": int(found.terms.participations["is_expired"].sum()),
                    "persons_without_role": found.terms.persons.height,
                    "decisions_not_applied": len(found.unapplied),
                    "series": found.archives.to_dicts(),
                }
                for name, found in judged.items()
            }
        )
        return
    for name, found in judged.items():
        if found is None:
            print_line(f"--   {name}: its rules leave nothing to be judged")
            continue
        past = int(found.terms.participations["is_expired"].sum())
        rows = [
            (series or "-", rule, participations, cases, str(first), str(last))
            for series, rule, participations, cases, first, last in found.archives.iter_rows()
        ]
        columns = ("series", "rule", "participations", "cases", "from", "to")
        print_table(f"ARCHIVES  {name} on {found.terms.as_of:%Y-%m-%d}", columns, rows)
        print_line(
            f"past   {thousands(past)} of {thousands(found.terms.participations.height)} participations; "
            f"{thousands(found.terms.persons.height)} persons of whom no role is left"
        )
        if found.unapplied:
            print_line(
                f"WAIT   {thousands(len(found.unapplied))} decisions that erase are known and were not applied: "
                "the old system must apply them"
            )
    print_line("Nothing was loaded, and nothing may be destroyed in the old system without the visa of the archives.")
    print_next(f"banyan load {dept}")
