# Whatever writes is refused in the past, and the message says why and how to return.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('refusals');
my $tablespace = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t VALUES (1, 'one'), (2, 'two');
CREATE SEQUENCE s;
SELECT nextval('s');
CREATE MATERIALIZED VIEW m AS SELECT * FROM t;
CREATE FUNCTION writes() RETURNS void LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (9); END';
CREATE ROLE somebody;
SELECT lo_create(77);
SQL
my $then = now_in($node);
$node->safe_psql('postgres', "INSERT INTO t VALUES (3, 'three')");

my @writes = (
	"INSERT INTO t VALUES (4, 'four')", 'UPDATE t SET b = a', 'DELETE FROM t', 'TRUNCATE t',
	'MERGE INTO t USING (VALUES (1)) v(a) ON t.a = v.a WHEN MATCHED THEN DELETE',
	"COPY t FROM stdin;\n4\tfour\n\\.\n", 'WITH w AS (DELETE FROM t RETURNING a) SELECT * FROM w',
	'EXPLAIN ANALYZE INSERT INTO t VALUES (5)', 'SELECT writes()', "DO 'BEGIN UPDATE t SET b = NULL; END'",
	"SELECT nextval('s')", "SELECT setval('s', 9)", 'SELECT * FROM t FOR UPDATE', 'SELECT * FROM t FOR KEY SHARE',
	'NOTIFY somebody', 'LISTEN somebody', 'CREATE TABLE x (a int)', 'CREATE TEMP TABLE x (a int)', 'CREATE TABLE x AS SELECT * FROM t',
	'SELECT * INTO x FROM t', 'CREATE INDEX ON t (b)', 'CREATE VIEW x AS SELECT 1', 'CREATE SCHEMA x', 'CREATE ROLE x',
	"CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'", 'CREATE EXTENSION strata', 'CREATE DATABASE x', 'CREATE TEMP SEQUENCE x',
	"CREATE TABLESPACE x LOCATION '$tablespace'", 'DROP TABLE t', 'DROP DATABASE template1', 'DROP ROLE somebody',
	'DROP SEQUENCE s', 'ALTER TABLE t ADD c int', 'ALTER TABLE t RENAME TO u', 'ALTER SEQUENCE s RESTART', 'ALTER ROLE somebody LOGIN',
	"ALTER DATABASE postgres SET work_mem = '1MB'", 'ALTER SYSTEM SET work_mem = 100', 'GRANT SELECT ON t TO somebody',
	'REVOKE ALL ON t FROM PUBLIC', 'GRANT pg_monitor TO somebody', "COMMENT ON TABLE t IS 'x'", 'VACUUM t', 'VACUUM FULL t', 'ANALYZE t',
	'REINDEX TABLE t', 'CLUSTER t USING t_pkey', 'REFRESH MATERIALIZED VIEW m', 'LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE',
	'LOCK TABLE t IN SHARE MODE', 'LOCK TABLE t IN ACCESS EXCLUSIVE MODE', 'LOCK TABLE t',
	"BEGIN; PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'", "ROLLBACK PREPARED 'p'", 'SELECT lo_create(0)', 'SELECT lo_unlink(77)',
	"SELECT lo_put(77, 0, 'x')", 'SELECT pg_current_xact_id()', 'BEGIN READ WRITE', 'SET transaction_read_only = off; SELECT 1',
	'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE; INSERT INTO t VALUES (6)', 'SELECT pg_switch_wal()',
	"SELECT pg_create_restore_point('x')", "SELECT pg_replication_origin_create('x')", 'SELECT pg_current_wal_lsn()',
	"SELECT pg_logical_emit_message(false, 'x', 'y')", 'REASSIGN OWNED BY somebody TO CURRENT_USER', 'DROP OWNED BY somebody',
	'SECURITY LABEL ON TABLE t IS NULL', 'BEGIN; DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE; FETCH c');

for my $write (@writes)
{
	(my $what = $write) =~ s/\s+/ /g;
	my $error = at_error($node, $then, $write);
	ok( $error =~ /ERROR:  \w{5}: .*travelling in time/
		  && $error =~ /as of \Q$then\E \(LSN [0-9A-F]+\/[0-9A-F]+\)/
		  && $error =~ /RESET strata\.travel_time/,
		"refused, with the moment and how to return: $what") or diag($error);
}
is($node->safe_psql('postgres', 'SELECT count(*), max(a) FROM t'), '3|3', 'none of the refused statements changed the present');

for my $allowed (
	'LOCK TABLE t IN ACCESS SHARE MODE', 'LOCK TABLE t IN ROW SHARE MODE', 'LOCK TABLE t IN ROW EXCLUSIVE MODE')
{
	is(at_error($node, $then, "BEGIN; $allowed; SELECT 1; COMMIT"), '', "allowed: $allowed");
}
for my $case (
	[ 'SELECT count(*) FROM t', 2, 'SELECT' ], [ 'COPY t TO STDOUT', "1\tone\n2\ttwo", 'COPY TO' ],
	[ 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM t; COMMIT', 2, 'REPEATABLE READ' ],
	[ 'BEGIN; SAVEPOINT a; SELECT count(*) FROM t; ROLLBACK TO a; SELECT count(*) FROM t; COMMIT', "2\n2", 'savepoints' ],
	[ "SELECT currval('s') IS NULL", qr/55000/, "currval, which the session has not called" ],
	[ 'PREPARE p AS SELECT count(*) FROM t; EXECUTE p; DEALLOCATE p', 2, 'PREPARE and EXECUTE' ],
	[ 'UNLISTEN *; SELECT 1', 1, 'UNLISTEN' ], [ 'SELECT pg_try_advisory_lock(1)', 't', 'advisory locks' ],
	[ 'BEGIN; DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a; FETCH c; MOVE c; CLOSE c; COMMIT', 1, 'cursors' ],
	[ "SET work_mem = '1MB'; SHOW work_mem", '1MB', 'SET of other settings' ], [ 'CHECKPOINT; SELECT 1', 1, 'CHECKPOINT' ])
{
	my ($sql, $expected, $what) = @$case;
	ref $expected
	  ? like(at($node, $then, $sql), $expected, "as ever: $what")
	  : is(at($node, $then, $sql), $expected, "as ever: $what");
}
my ($out) = try_sql($node, "SET strata.travel_time = '$then'; INSERT INTO t VALUES (7); RESET strata.travel_time; INSERT INTO t VALUES (7) RETURNING a;");
is($out, 7, 'after RESET the session writes again');
like(join('', try_sql($node, 'BEGIN READ ONLY; DELETE FROM t; ROLLBACK')), qr/in a read-only transaction/,
	'the messages of a session of the present are PostgreSQL\'s own');

log_is_clean($node);
$node->stop;
done_testing();
