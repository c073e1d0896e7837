# When, what and by whom: strata.diff(), blame(), transactions() and find_when().
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('timeline', track_commit_timestamp => 'on');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE acct (id int PRIMARY KEY, amount numeric, note json);
INSERT INTO acct SELECT i, i, '{}' FROM generate_series(1, 400) i;
CREATE TABLE bag (a int, b text);
INSERT INTO bag VALUES (1, 'x'), (1, 'x'), (2, 'y');
CREATE TABLE seen (n int, xid xid8);
SQL
my $from = lsn_in($node);
my @xids = map { $node->safe_psql('postgres', "BEGIN; UPDATE acct SET amount = amount + 1 WHERE id = 1; SELECT pg_current_xact_id(); COMMIT") } 1 .. 20;
$node->safe_psql('postgres', <<'SQL');
DELETE FROM acct WHERE id = 2;
INSERT INTO acct VALUES (1000, 0, '{"a": 1}');
UPDATE acct SET amount = 0 WHERE id = 3;
UPDATE acct SET amount = 3 WHERE id = 3;
UPDATE acct SET id = 2000 WHERE id = 4;
BEGIN; UPDATE acct SET amount = -1; ROLLBACK;
VACUUM acct;
DELETE FROM bag WHERE a = 2; INSERT INTO bag VALUES (1, 'x'), (3, 'z');
SQL

# Differences.
sql_prints($node, "SELECT operation, old, new, changed FROM strata.diff(NULL::acct, '$from') ORDER BY coalesce((old).id, (new).id)",
	qq(U|(1,1,{})|(1,21,{})|{amount}\nD|(2,2,{})||\nD|(4,4,{})||\nI||(1000,0,"{""a"": 1}")|\nI||(2000,4,{})|), 'by primary key');
sql_prints($node, "SELECT operation, old, new FROM strata.diff(NULL::bag, '$from') ORDER BY 1, 2, 3", "D|(2,y)|\nI||(1,x)\nI||(3,z)", 'without a key');
sql_prints($node, "SELECT count(*) FROM strata.diff(NULL::acct, '$from', '$from')", 0, 'a moment does not differ from itself');

# The same as the difference of two scans, for pairs of moments of a random load.
my $load = $node->basedir . '/load.sql';
append_to_file($load, "\\set a random(1, 420)\n\\set v random(1, 5)\n\\set what random(1, 4)\n\\if :what = 1\nDELETE FROM acct WHERE id = :a;\n\\elif :what = 2\nINSERT INTO acct VALUES (:a, :v, '{}') ON CONFLICT DO NOTHING;\n\\else\nUPDATE acct SET amount = :v WHERE id = :a;\n\\endif\n");
my @moments = (lsn_in($node));
for my $round (1 .. 5)
{
	$node->command_ok([ 'pgbench', '-n', '-c', 2, '-t', 60, '-f', $load, '-h', $node->host, '-p', $node->port, 'postgres' ], "load $round");
	$node->safe_psql('postgres', (undef, 'VACUUM acct', 'VACUUM FULL acct', 'TRUNCATE acct', 'ALTER TABLE acct ALTER amount TYPE numeric(20, 2)', 'VACUUM FREEZE acct')[$round]);
	push @moments, lsn_in($node);
}
for my $i (0 .. $#moments - 1)
{
	for my $j ($i + 1 .. $#moments)
	{
		my ($a, $b) = map { "SELECT t.id, t.amount, t.note::text FROM strata.table_at(NULL::acct, '$moments[$_]') t" } $i, $j;
		sql_prints($node, <<"SQL", '0|0', "moments $i and $j");
CREATE TEMP TABLE d AS SELECT operation, (old).id AS id, (old).amount AS amount, (old).note::text AS note, new FROM strata.diff(NULL::acct, '$moments[$i]', '$moments[$j]');
CREATE TEMP TABLE a AS $a; CREATE TEMP TABLE b AS $b;
SELECT (SELECT count(*) FROM ((TABLE a EXCEPT TABLE b) EXCEPT ALL SELECT id, amount, note FROM d WHERE operation <> 'I') x) + (SELECT count(*) FROM (SELECT id, amount, note FROM d WHERE operation <> 'I' EXCEPT ALL (TABLE a EXCEPT TABLE b)) x),
       (SELECT count(*) FROM ((TABLE b EXCEPT TABLE a) EXCEPT ALL SELECT (new).id, (new).amount, (new).note::text FROM d WHERE operation <> 'D') x) + (SELECT count(*) FROM (SELECT (new).id, (new).amount, (new).note::text FROM d WHERE operation <> 'D' EXCEPT ALL (TABLE b EXCEPT TABLE a)) x)
SQL
	}
}

# Who wrote what stands.
$node->safe_psql('postgres', "TRUNCATE acct; INSERT INTO acct SELECT i, i, '{}' FROM generate_series(1, 5) i");
my $writer = $node->safe_psql('postgres', 'BEGIN; UPDATE acct SET amount = 50 WHERE id = 5; SELECT pg_current_xact_id(); COMMIT');
sql_prints($node, "SELECT b.xid = '$writer', b.lsn = strata.after_xact(b.xid), count(*) OVER () FROM strata.blame(NULL::acct) b WHERE (b.row).id = 5", 't|t|1', 'blame');
sql_prints($node, "SELECT count(*), count(xid), count(DISTINCT xid) FROM strata.blame(NULL::acct)", '5|5|2', 'blame of all rows');
sql_prints($node, "SELECT count(*), count(xid) FROM strata.blame(NULL::pg_am)", $node->safe_psql('postgres', 'SELECT count(*) FROM pg_am') . '|0', 'rows that are older than history');

# Transactions.
my $begin = lsn_in($node);
$node->safe_psql('postgres', "INSERT INTO seen VALUES (1, pg_current_xact_id())");
$node->safe_psql('postgres', "BEGIN; INSERT INTO seen VALUES (0, pg_current_xact_id()); ROLLBACK");
$node->safe_psql('postgres', "BEGIN; INSERT INTO seen VALUES (2, pg_current_xact_id()); SAVEPOINT a; INSERT INTO seen VALUES (3, pg_current_xact_id()); SAVEPOINT b; INSERT INTO seen VALUES (3, pg_current_xact_id()); COMMIT");
sql_prints($node, "SELECT t.committed, s.n, lsn = strata.after_xact(t.xid) FROM strata.transactions('$begin') t LEFT JOIN (SELECT DISTINCT ON (xid) * FROM seen ORDER BY xid, n) s USING (xid) ORDER BY lsn", "t|1|t\nf||t\nt|2|t", 'commits and aborts');
sql_prints($node, "SELECT count(*) FROM strata.transactions('$begin') WHERE committed AND abs(extract(epoch FROM \"time\" - pg_xact_commit_timestamp(xid::xid))) > 1", 0, 'their times');

# When it changed.
sql_prints($node, "SELECT xid, lsn_before = strata.before_xact(xid), lsn = strata.after_xact(xid), before, after FROM strata.find_when('SELECT amount >= 12 AS full FROM acct WHERE id = 1', '$from', '$moments[0]')",
	"$xids[10]|t|t|[{\"full\": false}]|[{\"full\": true}]", 'the transaction that made the difference');
sql_prints($node, "SELECT lsn FROM strata.find_when('SELECT 1', '$from')", '', 'what never changed');
my $gone = $node->safe_psql('postgres', 'BEGIN; DROP TABLE bag; SELECT pg_current_xact_id(); COMMIT');
sql_prints($node, "SELECT xid, before, after FROM strata.find_when(\$\$SELECT FROM pg_class WHERE relname = 'bag'\$\$, '$from')", "$gone|[{}]|", 'the DROP of a table');
sql_fails($node, "SELECT * FROM strata.find_when('SELECT count(*) FROM bag', '$from')", qr/42P01: .*relation "bag" does not exist/, 'a query that fails at a moment');
sql_fails($node, "SELECT * FROM strata.find_when(NULL, '$from')", qr/22004/, 'no query');
sql_fails($node, "SELECT * FROM strata.diff(1, '$from')", qr/42809/, 'no table');

check_all_pages($node);
log_is_clean($node);
done_testing();
