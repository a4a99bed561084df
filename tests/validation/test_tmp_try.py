import pytest, time
from judged import *
from stores import make_store, store_template
from worlds import loaded, world
from validation.round_trip import check_round_trip
from validation.reconcile import reconcile
from validation.conservation import check_conservation
from validation.extraction import check_extraction
from estate.new_application import Application
from mappings.compile import compile_ruleset
pytestmark = pytest.mark.server
def test_it(loaded):
    s = subject_of(loaded)
    loaded.on_legacy("update orion.t_personne set profession='ZZZ' where id_pers in (select id_pers from orion.t_personne limit 5)")
    loaded.forward_engine().advance(loaded.forward())
    wm = watermark_of(loaded)
    loaded.switch_by_hand()
    units = {}
    for t in s.tables:
        for p in s.parts(t):
            units.setdefault(p.table, []).extend([r.to for r in p.fields if r.lens is None or r.lens.name not in ("part",)])
    app = Application(loaded.place.engine("banyan_app"), "38", units, seed=3)
    w = app.do(120); print(w)
    print(loaded.reverse_engine().advance(loaded.reverse(), __import__("store.runs").runs.RunKind.REVERSE).total)
    print(loaded.place.run("select canonical_table, column_name, kind, cause, count(*) from mig.degraded_write_back where state='OPEN' group by 1,2,3,4"))
    for f in (lambda: reconcile(s, watermark=wm).level, lambda: check_conservation(s), lambda: check_extraction(s, loaded.landing), lambda: check_round_trip(s).level):
        t=time.time()
        l=f()
        print(l.level, l.state, l.sentence, round(time.time()-t,2)); print({k:v for k,v in l.figures.items() if "." not in k})
        for x in l.findings[:40]: print("   ", x.table, x.key, x.column, x.kind, x.cause)
