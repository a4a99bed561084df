import pytest, time
from judged import *
from stores import make_store, store_template
from validation.reconcile import reconcile
from validation.conservation import check_conservation
from validation.extraction import check_extraction
pytestmark = pytest.mark.server
def test_it(judged):
    s = subject_of(judged)
    for f in (lambda: reconcile(s, watermark=watermark_of(judged)).level, lambda: reconcile(s, watermark=None).level, lambda: check_conservation(s), lambda: check_extraction(s, judged.landing)):
        t=time.time()
        l=f()
        print(l.level, l.state, l.sentence, round(time.time()-t,2)); print(l.figures)
        for x in l.findings[:20]: print("   ", x.table, x.key, x.column, x.kind, x.cause)
