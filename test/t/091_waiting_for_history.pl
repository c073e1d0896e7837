# Waits for history end: by lock_timeout, at connection after a moment, and at once where nobody makes history.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('waits');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TABLE t (id int);
CREATE ROLE later SUPERUSER LOGIN;
ALTER ROLE later SET strata.travel_time = 'now';
SQL
reached_lsn($node);

sub ingest { return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'strata ingest'"); }

# A worker that stands still.
my $pid = ingest();
kill 'STOP', $pid;
$node->safe_psql('postgres', 'INSERT INTO t VALUES (1)');
my $error = sql_prints($node, "SET lock_timeout = '200ms'; SET strata.travel_time = 'now'; SELECT count(*) FROM t;", '1',
	'a session that may not wait goes on in the present');
like($error, qr/ERROR:  55P03: canceling the wait for history due to lock timeout/, 'and is told why');
like($error, qr/DETAIL:  History has reached LSN [0-9A-F]+\/[0-9A-F]+\.\nHINT:  Travel to a moment/, 'and what it can do');
sql_fails($node, "SET lock_timeout = '200ms'; SELECT strata.wait_for(pg_current_wal_insert_lsn());", qr/ERROR:  55P03/,
	'so it is with strata.wait_for()');
$error = sql_prints($node, "SET strata.travel_time = ''; SELECT count(*) FROM t;", '1', 'a stored moment does not keep a session from connecting',
	user => 'later');
like($error, qr/WARNING:  history has not reached the stored moment yet/, 'which is told why');
like($error, qr/HINT:  The session runs no query until SET strata\.travel_time = ''/, 'and what it can do');
kill 'CONT', $pid;
reached_lsn($node);
is((try_sql($node, 'SELECT count(*) FROM t', user => 'later'))[0], '1', 'when history gets on it is reached');

# A worker that ends while a session waits.
kill 'STOP', $pid;
$node->safe_psql('postgres', 'INSERT INTO t VALUES (2)');
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_until(qr/waits/, "\\echo waits\nSET strata.travel_time = 'now';\n");
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'StrataIngestProgress'"), 'a session waits');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
kill 'CONT', $pid;
is($session->query('SELECT count(*) FROM t'), '2', 'it is where it wanted when the worker runs again');
like($session->{stderr}, qr/WARNING:  waiting for history, which is held up\s+DETAIL:  the process that keeps history has ended/, 'and was told that it had ended');
$session->quit;
is($node->safe_psql('postgres', "SELECT state, last_error IS NULL FROM strata.status()"), 'running|t', 'no error is left');
$node->stop;

# Too few places for workers: logical replication takes the first one.
my $few = new_node('few', max_worker_processes => 2);
$few->safe_psql('postgres', 'CREATE EXTENSION strata');
is($few->safe_psql('postgres', 'SELECT state, compaction FROM strata.status()'), 'running|missing', 'with one place history runs');
like($few->safe_psql('postgres', 'SELECT compaction_error FROM strata.status()'),
	qr/there is no place for the process "strata compaction": "max_worker_processes" is 2/, 'and says what is missing');
like(slurp_file($few->logfile), qr/WARNING:  .*there is no place for the process "strata $_"/, "the log does, too: $_") for 'compaction', 'flush';
$few->stop;

my $none = new_node('none', start => 0, max_worker_processes => 1);
$none->start;
$none->safe_psql('postgres', 'CREATE EXTENSION strata');
is($none->safe_psql('postgres', 'SELECT state, last_error, hint FROM strata.status()'),
	'stopped|there is no place for the process "strata ingest": "max_worker_processes" is 1|Raise "max_worker_processes" and restart the server.',
	'without a place history says at once that it has stopped');
sql_fails($none, "SET strata.travel_time = 'now'", qr/there is no history to travel in\nDETAIL:  there is no place for the process/, 'to sessions, too');
$none->stop;

done_testing();
