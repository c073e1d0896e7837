# A session that goes back and forth: settings that end, fail or are undone, pools that hand it on, cursors and prepared
# statements that cross the switch, and roles, none of which carry anything of one moment into another.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('hygiene', max_connections => 12, superuser_reserved_connections => 1, reserved_connections => 0, max_wal_senders => 2);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int);
INSERT INTO t VALUES (1);
GRANT SELECT ON t TO PUBLIC;
CREATE ROLE former SUPERUSER LOGIN;
CREATE ROLE boss SUPERUSER;
CREATE ROLE clerk LOGIN;
GRANT boss TO clerk;
CREATE ROLE colleague;
GRANT colleague TO clerk;
GRANT pg_execute_server_program, pg_read_server_files, pg_signal_backend, pg_read_all_settings TO clerk;
GRANT EXECUTE ON FUNCTION pg_ls_dir(text), pg_read_file(text) TO clerk;
GRANT SET ON PARAMETER log_statement TO clerk;
CREATE FUNCTION as_owner(text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE $1; END';
SQL
my $one = now_in($node);
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
my $two = now_in($node);
$node->safe_psql('postgres', <<'SQL');
INSERT INTO t VALUES (3);
DROP FUNCTION as_owner;
ALTER ROLE former NOSUPERUSER;
REVOKE boss FROM clerk;
REVOKE pg_execute_server_program, pg_read_server_files, pg_signal_backend, pg_read_all_settings FROM clerk;
REVOKE EXECUTE ON FUNCTION pg_ls_dir(text), pg_read_file(text) FROM clerk;
REVOKE SET ON PARAMETER log_statement FROM clerk;
GRANT SET ON PARAMETER strata.travel_time TO former, clerk;
SQL
my $count = 'SELECT count(*) FROM t;';
my $to_one = "SET strata.travel_time = '$one';";
my $to_two = "SET strata.travel_time = '$two';";

sub prints
{
	my ($sql, $expected, $name, %option) = @_;
	my ($out, $error) = try_sql($node, $sql, %option);
	is($out, $expected, $name) or diag($error);
	return $error;
}

# Settings that end, fail or are undone.
prints("$to_two BEGIN; SET LOCAL strata.travel_time = '$one'; $count COMMIT; $count RESET strata.travel_time; $count", "1\n2\n3",
	'SET LOCAL within the past ends at COMMIT, at the moment before');
prints("$to_two BEGIN; SET LOCAL strata.travel_time = '$one'; $count SELECT 1/0; ROLLBACK; $count", "1\n2",
	'SET LOCAL within the past ends with a failed transaction');
prints("$to_two BEGIN; SET LOCAL strata.travel_time = ''; $count COMMIT; $count", "3\n2", 'SET LOCAL to the present ends at COMMIT');
prints("BEGIN; $to_one $to_two $count ROLLBACK; $count", "2\n3", 'the last of several SETs counts, and ROLLBACK undoes all');
prints("BEGIN; $to_one SAVEPOINT s; $count ROLLBACK TO s; RELEASE s; $count COMMIT; $count", "1\n1\n1", 'RELEASE changes nothing');
prints("BEGIN; $to_one SAVEPOINT s; $to_two ROLLBACK TO s; $count COMMIT; $count", "1\n1", 'a SET that a savepoint undoes was refused');
my $error = prints("$to_one BEGIN; SAVEPOINT s; RESET strata.travel_time; ROLLBACK TO s; $count COMMIT; $count", "1\n1", 'ROLLBACK TO undoes RESET');
is($error, '', 'and the transaction goes on at the moment');
prints("$to_one BEGIN; SAVEPOINT s; RESET strata.travel_time; ROLLBACK; $count", 1, 'ROLLBACK undoes RESET in a subtransaction');
prints("BEGIN; SET LOCAL strata.travel_time = '$one'; $count SAVEPOINT s; SELECT 1/0; ROLLBACK TO s; $count COMMIT; $count", "1\n1\n3",
	'SET LOCAL outlives an error after a savepoint');
$error = prints("$to_one SET strata.travel_time = 'nonsense'; $count SET strata.travel_time = '2999-01-01'; $count RESET strata.travel_time; $count",
	"1\n1\n3", 'a failed SET leaves the session where it is');
like($error, qr/22007.*22023/s, 'with an error each time');
prints("BEGIN; $to_one SET work_mem = 'nonsense'; ROLLBACK; $count", 3, 'another failed SET undoes the transaction with its moment');
prints("$to_one SET work_mem = '2MB'; RESET ALL; SHOW work_mem; $count", "4MB\n3", 'RESET ALL resets the moment with the rest');
prints("SET work_mem = '2MB'; BEGIN; $to_one $count ROLLBACK; SHOW work_mem; $count", "1\n2MB\n3", 'other settings outlive the journey');
prints("$to_one SET TIME ZONE 'Asia/Tokyo'; $count SELECT current_setting('strata.travel_time') = '$one';", "1\nt", 'the moment does not move with TimeZone');
prints("DO \$\$BEGIN PERFORM set_config('strata.travel_time', '$one', false); END\$\$; $count", 1, 'set_config in a DO block is in effect from the next statement on');

# Session pools: each client finds the session as a new one.
for my $cleaning ('DISCARD ALL', 'RESET ALL', 'ROLLBACK; DISCARD ALL', 'ABORT; RESET ALL; CLOSE ALL; UNLISTEN *')
{
	prints("$to_one PREPARE p AS SELECT 1; BEGIN; $count SELECT 1/0; ROLLBACK; $cleaning; SHOW strata.travel_time; $count INSERT INTO t VALUES (9) RETURNING a; DELETE FROM t WHERE a = 9;",
		"1\n\n3\n9", "a session pool that cleans by $cleaning hands on a session of the present");
}
prints("$count DISCARD ALL; $count RESET strata.travel_time; SHOW strata.travel_time; SET strata.travel_time = ''; $count", "1\n1\n$one\n3",
	'DISCARD ALL returns to the moment of the session\'s start', options => pgoptions($one));
prints("$to_one DISCARD PLANS; DISCARD SEQUENCES; $count", 1, 'DISCARD of other things does not move');
prints("$to_one DISCARD TEMP; $count", 1, 'DISCARD TEMP does not move');

# Transaction pools: transactions of two clients, one in the past, take turns in one session.
my $client = "BEGIN; SET LOCAL strata.travel_time = '$one'; $count COMMIT;";
my $other = "BEGIN; $count INSERT INTO t VALUES (9); $count DELETE FROM t WHERE a = 9; COMMIT;";
prints("$client $other $client $other", "1\n3\n4\n1\n3\n4", 'a transaction pool serves past and present in turn');
$client = "BEGIN; SET LOCAL strata.travel_time = '$two'; EXECUTE q; COMMIT;";
prints("PREPARE q AS SELECT count(*), max(a) FROM t; EXECUTE q; $client EXECUTE q; $client EXECUTE q;", "3|3\n2|2\n3|3\n2|2\n3|3",
	'a prepared statement of the pool is executed where each transaction is');
prints("BEGIN; SET LOCAL strata.travel_time = '$one'; $count SELECT 1/0; COMMIT; $other", "1\n3\n4", 'the transaction after a failed one of the past is in the present');

# Cursors across the switch.
prints("BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT a FROM t ORDER BY a; COMMIT; $to_one FETCH 2 FROM c; $count $to_two FETCH c; MOVE FIRST c; FETCH ALL c; RESET strata.travel_time; CLOSE c; $count",
	"1\n2\n1\n3\n2\n3\n3", 'a WITH HOLD cursor of the present has its rows at every moment');
prints("$to_one BEGIN; DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT a FROM t; COMMIT; $to_two FETCH ALL c; DISCARD ALL; SELECT count(*) FROM pg_cursors;",
	"1\n0", 'a WITH HOLD cursor of the past has its rows at another moment, and DISCARD ALL closes it');
$error = prints("BEGIN; DECLARE c CURSOR FOR SELECT a FROM t; FETCH c; $to_one", 1, 'an open cursor keeps its transaction where it is');
like($error, qr/25001/, 'and SET is refused');
$error = prints("BEGIN; SET LOCAL strata.travel_time = '$one'; DECLARE c CURSOR WITH HOLD FOR SELECT a FROM t; COMMIT; FETCH ALL c; $count", "1\n3",
	'a WITH HOLD cursor under SET LOCAL is filled at its moment');

# What the session holds in the present stays.
prints("SELECT pg_advisory_lock(5) \\g /dev/null\n$to_one SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid(); RESET strata.travel_time; SELECT pg_advisory_unlock(5);",
	"1\nt", 'an advisory lock outlives the journey');
prints("LISTEN news; $to_one SELECT pg_listening_channels(); RESET strata.travel_time; UNLISTEN *; SELECT count(*) FROM pg_listening_channels();", "news\n0",
	'a LISTEN outlives the journey');

# Settings at session start, and which of them wins.
$node->safe_psql('postgres', "ALTER ROLE clerk SET strata.travel_time = '$one'; ALTER ROLE clerk IN DATABASE postgres SET strata.travel_time = '$two'");
prints($count, 2, 'ALTER ROLE IN DATABASE SET goes before ALTER ROLE SET', user => 'clerk');
prints($count, 1, 'PGOPTIONS go before both', user => 'clerk', options => pgoptions($one));
$node->safe_psql('postgres', "ALTER ROLE clerk RESET ALL; ALTER ROLE clerk IN DATABASE postgres RESET ALL; ALTER DATABASE postgres SET strata.travel_time = '$one'");
prints("$count SET strata.travel_time = ''; $count RESET strata.travel_time; $count", "1\n3\n1", 'RESET goes to the moment that ALTER DATABASE set', user => 'clerk');
try_sql($node, 'ALTER DATABASE postgres RESET strata.travel_time', options => '-c strata.travel_time=');
prints($count, 3, 'PGOPTIONS with an empty time escape ALTER DATABASE SET, to undo it');

# Roles. Rights to what is in the cluster are those of the moment; power over the server, and the choice of roles that
# outlive the journey, are not.
prints("$to_one SET ROLE clerk; SELECT current_user; $count RESET strata.travel_time; SELECT current_user; RESET ROLE; $count", "clerk\n1\nclerk\n3",
	'a superuser may change its role in the past');
prints("SET ROLE colleague; SET strata.travel_time = '$one';", '', 'a role without the right does not travel', user => 'clerk');
prints("$to_one SELECT current_user; RESET ROLE; SET ROLE NONE; SET SESSION AUTHORIZATION DEFAULT; RESET SESSION AUTHORIZATION; $count DISCARD ALL; $count", "clerk\n1\n3",
	'to return to its own role is allowed to all', user => 'clerk');
for my $case (
	[ 'clerk', 'SET ROLE boss', 'SET ROLE to a role that it was a member of' ],
	[ 'clerk', 'SET LOCAL ROLE boss', 'SET LOCAL ROLE' ],
	[ 'clerk', "SELECT set_config('role', 'boss', false)", 'set_config of the role' ],
	[ 'former', 'SET ROLE boss', 'SET ROLE by a former superuser' ],
	[ 'former', 'SET SESSION AUTHORIZATION boss', 'SET SESSION AUTHORIZATION by a former superuser' ])
{
	my ($user, $change, $what) = @$case;
	my $error = prints("$to_one BEGIN; $change; COMMIT; SELECT current_user, session_user; RESET strata.travel_time; SELECT current_user, session_user;",
		"$user|$user\n$user|$user", "no role of the past comes back to the present: $what", user => $user);
	like($error, qr/42501: .*only a superuser may change its role while travelling in time.*as of \Q$one/s, "$what says why");
}
for my $case (
	[ "COPY (SELECT 1) TO PROGRAM 'true'", 'programs' ],
	[ "COPY t FROM '/dev/null'", 'files' ],
	[ "SELECT pg_read_file('PG_VERSION')", 'pg_read_file' ],
	[ "SELECT pg_ls_dir('.')", 'pg_ls_dir' ],
	[ 'SELECT pg_terminate_backend(1)', 'other sessions' ],
	[ "SET log_statement = 'none'", 'settings' ],
	[ "SELECT as_owner('COPY (SELECT 1) TO PROGRAM ''true''')", 'programs, by a function of a superuser' ],
	[ "SELECT as_owner('SELECT pg_read_file(''PG_VERSION'')')", 'files, by a function of a superuser' ])
{
	my ($statement, $what) = @$case;
	for my $user ('clerk', 'former')
	{
		like((try_sql($node, "$to_one $statement", user => $user))[1], qr/ERROR:  (42501|25006): /, "a right of the past gives no power over the server: $what ($user)");
	}
}
is((try_sql($node, "$to_one SELECT pg_read_file('PG_VERSION') > ''; COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'; SET log_statement = 'none'; SELECT as_owner('SELECT pg_ls_dir(''.'')');"))[1],
	'', 'a superuser of then and now has it');
prints("SET debug_parallel_query = on; SET log_statement = 'none'; $to_one $count", 1, 'parallel workers take over settings and role of their session');
prints("SET debug_parallel_query = on; SET ROLE clerk; RESET ROLE; $to_one SET ROLE clerk; $count", 1, 'also a role that was chosen in the past');
prints("SET debug_parallel_query = on; $to_one SELECT count(*), current_user FROM t;", '1|clerk', 'also without any right', user => 'clerk');

# Each of the server's places for a process is taken by travellers first, and then by sessions of the present.
for my $round (1 .. 30)
{
	try_sql($node, "SET debug_parallel_query = on; $to_one $count");
}
my %answers;
for my $round (1 .. 20)
{
	my ($out) = try_sql($node, "SET debug_parallel_query = on; $count");
	$answers{$out}++;
}
is(join(' ', sort keys %answers), 3, 'parallel workers of a session that took a traveller\'s place are in the present');

# The session's schema for temporary tables belonged to another session then.
my $holder = $node->background_psql('postgres');
$holder->query_safe("CREATE TEMP TABLE shade AS SELECT 'temporary' AS which");
my $schema = $holder->query_safe('SELECT pg_my_temp_schema()::regnamespace');
$node->safe_psql('postgres', "CREATE TABLE light AS SELECT 'permanent' AS which");
my $shaded = now_in($node);
$holder->quit;
my $met = 0;
for my $attempt (1 .. 40)
{
	my ($out, $error) = try_sql($node, "CREATE TEMP TABLE x (a int); SELECT pg_my_temp_schema()::regnamespace; DROP TABLE x; SET strata.travel_time = '$shaded'; SELECT which FROM light; SELECT * FROM shade;");
	next unless $out =~ /^\Q$schema\E\n/;
	$met = 1;
	is($out, "$schema\npermanent", 'a session that inherited the schema of a temporary table of then sees permanent tables');
	like($error, qr/0A000: .*cannot access temporary/, 'and not the temporary table');
	last;
}
ok($met, 'a session has inherited the schema of a temporary table');

log_is_clean($node);
$node->stop;
done_testing();
