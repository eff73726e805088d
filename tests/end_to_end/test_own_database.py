"""The demo on a person's own database, to its good end: what it shows, and what the rules themselves leave out."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.end_to_end.shop import CANARY, RULES, Shop, run_demo, write_rules

pytestmark = pytest.mark.end_to_end

DROPPING = f"""{RULES}  public.visits:
    columns:
      who: scrub.email(who)
      page: keep
elsewhere:
  comments: {{decision: drop, reason: developers' notes}}
  large_objects: drop
"""


def test_rules_that_drop_all_they_may_lead_to_a_good_end(tmp_path: Path, temporary: Path, shop: Shop) -> None:
    with psycopg.connect(shop.owner_url) as owner:
        owner.execute("COMMENT ON TABLE users IS 'people'; COMMENT ON COLUMN users.age IS 'in years'")
        owner.execute("SELECT lo_from_bytea(4242, 'synthetic'); COMMENT ON LARGE OBJECT 4242 IS 'a contract'")
        owner.execute("GRANT SELECT ON LARGE OBJECT 4242 TO reader")
        owner.execute("CREATE TABLE visits (who text, page text)")
        owner.execute("INSERT INTO visits SELECT email, '/' FROM users LIMIT 9")
    demo = run_demo(temporary, shop.url, write_rules(tmp_path, DROPPING), "--show-values")
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout
    shown = demo.stdout[demo.stdout.index("What was scrubbed") :].splitlines()
    at = shown.index("  public.visits  without a kept key: left and right are of different rows")
    assert f"1{CANARY}" in shown[at + 1]
    assert "@ex" in shown[at + 1].replace(CANARY, "")
    assert "  dropped by the rules: 3 comments, 1 large object" in shown
    assert [line for line in shown if line.startswith("fault: ")] == []
