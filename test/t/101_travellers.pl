# Travellers: on whose behalf they work, what goes across with a query, what comes back, and what is left when they end.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

# Segments of shared memory as files that can be counted.
my $node = new_node('travellers', dynamic_shared_memory_type => 'mmap', 'strata.max_travellers' => 3, max_worker_processes => 6, max_parallel_workers => 6, max_connections => 20);
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
GRANT USAGE ON SCHEMA strata TO PUBLIC;
CREATE ROLE plain LOGIN;
CREATE ROLE granted LOGIN;
CREATE ROLE keeper;
GRANT SET ON PARAMETER strata.travel_time TO granted;
GRANT SET ON PARAMETER strata.travel_time TO keeper;
CREATE TABLE open (a int);
INSERT INTO open VALUES (1);
GRANT SELECT ON open TO PUBLIC;
CREATE TABLE secret (a int);
INSERT INTO secret VALUES (1);
CREATE TABLE kept (a int);
ALTER TABLE kept OWNER TO keeper;
CREATE TABLE rls (a int, who name);
INSERT INTO rls VALUES (1, 'granted'), (2, 'keeper');
ALTER TABLE rls ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON rls USING (who = current_user);
GRANT SELECT ON rls TO PUBLIC;
CREATE SCHEMA other;
CREATE TABLE other.open (a int);
GRANT USAGE ON SCHEMA other TO PUBLIC;
CREATE FUNCTION warn(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''said %'', $1 USING DETAIL = ''a detail'', HINT = ''a hint''; RETURN 1; END';
CREATE FUNCTION complain() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no %'', 1 USING ERRCODE = ''UE001'', DETAIL = ''a detail'', HINT = ''a hint'', CONSTRAINT = ''c''; END';
CREATE TABLE many AS SELECT i, repeat('x', 100) AS t FROM generate_series(1, 200000) i;
SQL
my $then = now_in($node);
$node->safe_psql('postgres', <<"SQL");
GRANT SELECT ON secret TO granted;
CREATE FUNCTION lend(text) RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM strata.query_at(''$then'', \$1) AS t(a text)';
CREATE FUNCTION keepers(text) RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM strata.query_at(''$then'', \$1) AS t(a text)';
ALTER FUNCTION keepers OWNER TO keeper;
SQL

sub at_then { my ($query, $columns) = @_; $columns //= 'a text'; return "SELECT * FROM strata.query_at('$then', '$query') AS t($columns);"; }
sub travellers_there { return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'strata traveller'"); }

# Rights.
sql_fails($node, at_then('SELECT 1', 'a int'), qr/42501: .*permission denied to set parameter "strata\.travel_time"/, 'a role without the right to travel sends no traveller', user => 'plain');
sql_prints($node, at_then('SELECT * FROM open', 'a int'), 1, 'a role with the right does', user => 'granted');
sql_fails($node, at_then('SELECT * FROM secret', 'a int'), qr/42501: .*permission denied for table secret/, 'a right that was granted later does not hold then', user => 'granted');
sql_prints($node, at_then('SELECT current_user::text || session_user::text'), 'grantedgranted', 'it works under the role of the session', user => 'granted');
sql_prints($node, "SET ROLE granted; " . at_then('SELECT current_user::text'), 'granted', 'after SET ROLE under that role');
sql_fails($node, "SET ROLE granted; " . at_then('SELECT * FROM secret', 'a int'), qr/42501/, 'and with its rights alone');
sql_fails($node, "SET ROLE granted; " . at_then("SELECT set_config(''role'', ''none'', false)"), qr/ERROR: .*role/, 'from which the query cannot return');
sql_prints($node, "SET SESSION AUTHORIZATION granted; " . at_then('SELECT current_user::text || session_user::text') . 'RESET SESSION AUTHORIZATION; ' . at_then('SELECT a::text FROM secret'), "grantedgranted\n1", 'after SET SESSION AUTHORIZATION under that user, and after RESET under its own');
sql_fails($node, "SET ROLE plain; " . at_then('SELECT 1', 'a int'), qr/42501: .*permission denied to set parameter/, 'SET ROLE to a role without the right takes it away');
sql_prints($node, "SELECT * FROM keepers('SELECT current_user::text'); " . at_then('SELECT 1', 'a int'), "keeper\n1", 'in a SECURITY DEFINER function under its owner, and under the caller again afterwards', user => 'granted');
sql_prints($node, "SELECT * FROM keepers('SELECT count(*)::text FROM kept')", 0, 'with what the owner may read', user => 'granted');
sql_prints($node, "SELECT * FROM lend('SELECT a::text FROM secret')", 1, 'a superuser may lend the right, and what it sees', user => 'plain');
sql_prints($node, at_then('SELECT a FROM rls', 'a int'), 1, 'row level security holds', user => 'granted');
sql_fails($node, "SET row_security = off; " . at_then('SELECT a FROM rls', 'a int'), qr/42501: .*row-level security/, 'and row_security = off is an error', user => 'granted');

# Settings.
for my $case (
	[ 'search_path', 'other', 'SELECT count(*)::text FROM open', 0 ],
	[ 'TimeZone', 'Asia/Tokyo', "SELECT ''2026-01-01 00:00+00''::timestamptz::text", '2026-01-01 09:00:00+09' ],
	[ 'DateStyle', 'SQL, DMY', "SELECT ''2026-01-31''::date::text", '31/01/2026' ],
	[ 'IntervalStyle', 'iso_8601', "SELECT ''1 day''::interval::text", 'P1D' ],
	[ 'extra_float_digits', '0', 'SELECT (0.1::float8 + 0.2)::text', '0.3' ],
	[ 'bytea_output', 'escape', "SELECT ''\\x61''::bytea::text", 'a' ],
	[ 'work_mem', '5MB', 'SHOW work_mem', '5MB' ],
	[ 'lc_monetary', 'C', 'SHOW lc_monetary', 'C' ],
	[ 'my.own', 'something', 'SHOW my.own', 'something' ],
	[ 'default_transaction_isolation', 'serializable', 'SELECT 1::text', '1' ])
{
	my ($setting, $value, $query, $expected) = @$case;
	my $list = $setting eq 'DateStyle' ? $value : "'$value'";
	my ($before) = try_sql($node, at_then($query)) if $setting ne 'my.own';
	sql_prints($node, at_then('SELECT 1', 'a int') . "SET $setting = $list; " . at_then($query) . "RESET $setting;", "1\n$expected", "$setting goes across, to a traveller that is there already");
}

# Errors and notices.
my $error = sql_prints($node, at_then("SELECT warn(''hello'')", 'a int'), 1, 'a function that says something');
like($error, qr/NOTICE:  00000: said hello.*DETAIL:  a detail.*HINT:  a hint/s, 'its notice arrives');
is((try_sql($node, "SET client_min_messages = error; " . at_then("SELECT warn(''hello'')", 'a int')))[1], '', 'unless the session does not want it');
my ($out, $stderr) = ('', '');
$node->psql('postgres', at_then('SELECT complain()', 'a int'), stderr => \$stderr, extra_params => [ '--set', 'VERBOSITY=verbose' ]);
like($stderr, qr/UE001: no 1.*DETAIL:  a detail.*HINT:  a hint.*CONTEXT:  PL\/pgSQL function complain\(\).*query at LSN.*CONSTRAINT NAME:  c/s, 'an error arrives with all that belongs to it');
$error = sql_prints($node, "BEGIN; SAVEPOINT s; " . at_then('SELECT 1/0', 'a int') . "ROLLBACK TO s; " . at_then('SELECT 7', 'a int') . " COMMIT;", 7, 'an error is one of the transaction, and the next call is well');
like($error, qr/22012: .*division by zero/, 'with its own SQLSTATE');
sql_fails($node, at_then('SELEC 1', 'a int'), qr/42601: .*syntax error/, 'a syntax error too');
sql_prints($node, "DO \$\$ BEGIN PERFORM * FROM strata.query_at('$then', 'SELECT 1/0') AS t(a int); EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught'; END \$\$; SELECT 1", 1, 'which PL/pgSQL catches');

# It streams, and stops.
sql_prints($node, "SELECT count(*), sum(i) FROM strata.query_at('$then', 'SELECT i, t FROM many') AS t(i int, t text)", '200000|20000100000', 'a result larger than work_mem');
sql_prints($node, "SET statement_timeout = '60s'; SELECT strata.query_at('$then', 'SELECT generate_series(1, 1000000000000)') LIMIT 2; " . at_then('SELECT 5', 'a int'), "(1)\n(2)\n5", 'LIMIT stops a query without end');
sql_prints($node, "SELECT strata.query_at('$then', 'SELECT i, pg_sleep(i / 2 * 1000)::text FROM generate_series(1, 2) i') LIMIT 1; " . at_then('SELECT 5', 'a int'), "(1,\"\")\n5", 'also one that sleeps, and its first row has come');
sql_fails($node, "SET statement_timeout = '200ms'; " . at_then('SELECT pg_sleep(1000)'), qr/57014: .*statement timeout/, 'a statement timeout ends it');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller' AND state = 'active'"), 'and the traveller with it');
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $sleeps = "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller' AND wait_event = 'PgSleep'";
$session->query_until(qr/started/, "\\echo started\n" . at_then('SELECT pg_sleep(1000)') . "\n");
ok($node->poll_query_until('postgres', $sleeps), 'a traveller sleeps');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
is($session->query(at_then('SELECT 6', 'a int')), 6, 'cancel ends the call, not the session');
like($session->{stderr}, qr/canceling statement due to user request/, 'with the usual error');
$session->{stderr} = '';

# The traveller is terminated while it works, and while it waits.
$session->query_until(qr/started/, "\\echo started\n" . at_then('SELECT pg_sleep(1000)') . "\n");
ok($node->poll_query_until('postgres', $sleeps), 'it sleeps again');
my $end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'strata traveller'";
$node->safe_psql('postgres', $end);
is($session->query(at_then('SELECT 6', 'a int')), 6, 'a traveller that is terminated ends the call, not the session');
like($session->{stderr}, qr/terminating background worker "strata traveller[^"]*" due to administrator command/, 'which is told why');
$session->{stderr} = '';
$node->safe_psql('postgres', $end);
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller'"), 'an idle one can be terminated');
is($session->query_safe(at_then('SELECT 6', 'a int')), 6, 'and the next call has another');

# The session is terminated.
$session->query_until(qr/started/, "\\echo started\n" . at_then('SELECT pg_sleep(1000)') . "\n");
ok($node->poll_query_until('postgres', $sleeps), 'it sleeps once more');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller'"), 'travellers end with their session');
eval { $session->quit };

# Places. Three travellers, beside six background workers.
is($node->safe_psql('postgres', 'SHOW max_worker_processes'), 6, 'max_worker_processes shows what was set');
like($node->safe_psql('postgres', 'SELECT max_worker_processes FROM pg_control_init(), pg_control_system(), LATERAL (SELECT setting AS max_worker_processes FROM pg_settings WHERE name = \'max_worker_processes\') s'), qr/^6$/, 'in pg_settings too');
my ($controldata) = run_command([ 'pg_controldata', $node->data_dir ]);
like($controldata, qr/max_worker_processes setting:\s+6\n/, 'and the control file, which standbys go by');
my @sleepers;
for my $i (1 .. 3)
{
	my $sleeper = $node->background_psql('postgres', on_error_stop => 0);
	$sleeper->query_until(qr/started/, "\\echo started\n" . at_then('SELECT pg_sleep(1000)') . "\n");
	push @sleepers, $sleeper;
}
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type = 'strata traveller' AND wait_event = 'PgSleep'"), 'three work at once');
sql_fails($node, "SET statement_timeout = '300ms'; " . at_then('SELECT 1', 'a int'), qr/57014: .*statement timeout/, 'a fourth call waits, and can be cancelled');
my $workers = "SET debug_parallel_query = off; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 6; ALTER TABLE many SET (parallel_workers = 6);";
like((try_sql($node, "$workers EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off, BUFFERS off) SELECT count(*) FROM many"))[0], qr/Workers Launched: 2\b/, 'parallel queries find the places that they find without travellers: 6 but for strata\'s 3 and the launcher of logical replication');
my $waiter = $node->background_psql('postgres', on_error_stop => 0);
$waiter->query_until(qr/started/, "\\echo started\n" . at_then('SELECT 8', 'a int') . "\n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'StrataTravellerFree'"), 'a call that waits says so');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM strata.query_at%pg_sleep%' AND backend_type = 'client backend'");
is($waiter->query_safe(at_then('SELECT 9', 'a int')) =~ s/^8\n//r, 9, 'and goes on when one comes free: idle ones of other sessions are ended');
$_->quit for $waiter;
for (@sleepers) { $_->{stderr} = ''; $_->quit; }
my $four = join(' UNION ALL ', map { "SELECT * FROM strata.query_at('$then', 'SELECT $_') AS t$_(a int)" } 1 .. 4);
my $together = join(', ', map { "strata.query_at('$then', 'SELECT $_') AS t$_(a int)" } 1 .. 4);
sql_fails($node, "BEGIN; DECLARE c1 CURSOR FOR SELECT strata.query_at('$then', 'SELECT 1'); FETCH c1; DECLARE c2 CURSOR FOR SELECT strata.query_at('$then', 'SELECT 1'); FETCH c2; DECLARE c3 CURSOR FOR SELECT strata.query_at('$then', 'SELECT 1'); FETCH c3; DECLARE c4 CURSOR FOR SELECT strata.query_at('$then', 'SELECT 1'); FETCH c4;",
	qr/53400: .*no traveller is free.*strata\.max_travellers/s, 'a statement that holds all of them gets an error that names the setting');
sql_fails($node, "SELECT count(*) FROM $together", qr/53400: .*no traveller is free/, 'so does one that reads four at the same time');
sql_prints($node, "SELECT count(*) FROM ($four) u", 4, 'but one call after the other needs one traveller only');

# Two hundred calls leave nothing behind.
my $segments = $node->safe_psql('postgres', "SELECT count(*) FROM pg_ls_dir('pg_dynshmem')");
$node->safe_psql('postgres', "DO \$\$ BEGIN FOR i IN 1..200 LOOP PERFORM * FROM strata.query_at(CASE i % 3 WHEN 0 THEN '$then'::timestamptz WHEN 1 THEN clock_timestamp() ELSE '$then'::timestamptz + interval '1 ms' END, 'SELECT ' || i) AS t(a int); END LOOP; END \$\$");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller'"), 'two hundred calls leave no process');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_ls_dir('pg_dynshmem')"), $segments, 'and no segment of shared memory');
$session = $node->background_psql('postgres', on_error_stop => 0);
$node->append_conf('postgresql.conf', "strata.traveller_idle_time = '50ms'");
$node->reload;
$session->query_safe(at_then('SELECT 1', 'a int'));
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'strata traveller'"), 'an idle traveller ends after strata.traveller_idle_time, while its session goes on');
is($session->query_safe(at_then('SELECT 2', 'a int')), 2, 'and the next call has another');
$session->quit;

log_is_clean($node);

# Off.
$node->append_conf('postgresql.conf', 'strata_enabled = off');
$node->restart;
sql_fails($node, at_then('SELECT 1', 'a int'), qr/55000: .*strata is not enabled.*HINT:  Set strata_enabled = on/s, 'with strata off a call says so');
is($node->safe_psql('postgres', 'SHOW max_worker_processes'), 6, 'and nothing is added');
$node->stop;
done_testing();
