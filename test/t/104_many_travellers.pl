# Many sessions send travellers at once, to more moments than there are places, and end in every way.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('many_travellers', 'strata.max_travellers' => 4, max_connections => 40);
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t (a int, b text); CREATE TABLE moments (lsn pg_lsn, n bigint)');
for my $round (1 .. 6)
{
	$node->safe_psql('postgres', "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 500) i; ALTER TABLE t ADD COLUMN c$round int");
	my $lsn = lsn_in($node);
	$node->safe_psql('postgres', "INSERT INTO moments VALUES ('$lsn', $round * 500)");
}
my $none_left = "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller'";
my $right = q{DO $$ DECLARE m record; found bigint; BEGIN
  SELECT * INTO m FROM moments ORDER BY random() LIMIT 1;
  SELECT r.n INTO found FROM strata.query_at(m.lsn, 'SELECT count(*) FROM t') AS r(n bigint);
  IF found <> m.n THEN RAISE EXCEPTION 'at % there are % rows, not %', m.lsn, found, m.n; END IF;
END $$;};
my $cut = 'SELECT strata.query_at((SELECT lsn FROM moments ORDER BY random() LIMIT 1), \'SELECT a, b FROM t\') LIMIT 1;';
my $fails = q{DO $$ BEGIN PERFORM * FROM strata.query_at((SELECT min(lsn) FROM moments), 'SELECT 1 / (a - 400) FROM t') AS r(n int);
  RAISE EXCEPTION 'no error'; EXCEPTION WHEN division_by_zero THEN NULL; END $$;};

$node->pgbench('--client=16 --jobs=2 --transactions=25 --no-vacuum', 0, [ qr{processed: 400/400} ], [ qr{^$} ],
	'16 sessions at 6 moments with 4 places: every answer is right, whatever way the calls before ended',
	{ '104_right@5' => $right, '104_cut@2' => $cut, '104_fails@1' => $fails });
ok($node->poll_query_until('postgres', $none_left), 'no traveller is left');

# Sessions are terminated at any point.
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 8;
for my $session (@sessions)
{
	$session->query_until(qr/started/, "\\echo started\nDO \$\$ BEGIN FOR i IN 1..100000 LOOP PERFORM * FROM strata.query_at((SELECT lsn FROM moments ORDER BY random() LIMIT 1), 'SELECT a, b FROM t') AS r(a int, b text); END LOOP; END \$\$;\n");
}
for my $round (1 .. 4)
{
	ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller' AND state = 'active'"), "travellers work (round $round)");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO%' AND backend_type = 'client backend' LIMIT 2");
}
ok($node->poll_query_until('postgres', $none_left), 'no traveller outlives its session');
eval { $_->quit } for @sessions;
is($node->safe_psql('postgres', "SELECT count(*) FROM strata.query_at((SELECT max(lsn) FROM moments), 'SELECT a FROM t') AS r(a int)"), 3000, 'and the places are free');

# A database with a session whose traveller idles can be dropped once the session has gone.
$node->safe_psql('postgres', 'CREATE DATABASE side');
$node->safe_psql('side', 'CREATE EXTENSION strata; CREATE TABLE s AS SELECT 1 AS a');
my $lsn = lsn_in($node);
is($node->safe_psql('side', "SELECT * FROM strata.query_at('$lsn', 'SELECT a FROM s') AS r(a int)"), 1, 'a traveller works in the database of its session');
is((try_sql($node, 'DROP DATABASE side'))[1], '', 'which can be dropped when the session has ended');

# A traveller that is killed is a process of the server that is killed: all begin anew, and nothing is lost.
log_is_clean($node);
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe("SELECT * FROM strata.query_at('$lsn', 'SELECT 1') AS r(a int)");
kill_and_wait($node, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata traveller'"));
eval { $session->quit };
is($node->safe_psql('postgres', "SELECT count(*) FROM strata.query_at('$lsn', 'SELECT a FROM t') AS r(a int)"), 3000, 'after a restart of all processes travellers work again');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), 3000, 'and the present has all its rows');
$node->stop;
done_testing();
