# What was prepared, planned or cached before a switch follows it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('plans');
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA first;
CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t SELECT i, 'old ' || i FROM generate_series(1, 100) i;
CREATE TABLE first.named AS SELECT 'first' AS which;
CREATE VIEW v AS SELECT a, b FROM t WHERE a <= 3;
CREATE FUNCTION counts() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM t); END';
CREATE FUNCTION counts_sql() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t';
CREATE FUNCTION dynamic() RETURNS text LANGUAGE plpgsql AS $$DECLARE r text; BEGIN EXECUTE 'SELECT max(b) FROM t' INTO r; RETURN r; END$$;
CREATE FUNCTION version() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN 'one'; END$$;
CREATE FUNCTION row_of(int) RETURNS t LANGUAGE sql AS 'SELECT * FROM t WHERE a = $1';
CREATE FUNCTION loops() RETURNS text LANGUAGE plpgsql AS $$
DECLARE r record; s text := '';
BEGIN FOR r IN SELECT b FROM t ORDER BY a LIMIT 2 LOOP s := s || r.b || ';'; END LOOP; RETURN s; END$$;
SQL
my $then = now_in($node);
$node->safe_psql('postgres', <<'SQL');
CREATE SCHEMA second;
CREATE TABLE second.named AS SELECT 'second' AS which;
ALTER TABLE first.named RENAME TO renamed;
DELETE FROM t WHERE a > 10;
UPDATE t SET b = 'new ' || a;
ALTER TABLE t ADD c int DEFAULT 5;
CREATE OR REPLACE FUNCTION version() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN 'two'; END$$;
CREATE OR REPLACE VIEW v AS SELECT a, b FROM t WHERE a <= 5;
SQL
my $later = now_in($node);
$node->safe_psql('postgres', 'TRUNCATE t');

# Runs a query in the present, at `then`, at `later`, and in the present again, in one session.
sub follows
{
	my ($query, $expected, $name, $before) = @_;
	$before //= '';
	my ($out, $error) = try_sql($node,
		"$before $query; SET strata.travel_time = '$then'; $query; $query; SET strata.travel_time = '$later'; $query; RESET strata.travel_time; $query;");
	my ($present, $first, $second) = @$expected;
	is($out, join("\n", $present, $first, $first, $second, $present), $name) or diag($error);
	return;
}
follows('SELECT count(*) FROM t', [ 0, 100, 10 ], 'a query follows each switch');
follows('EXECUTE p(7)', [ '0|', '1|old 7', '1|new 7' ], 'a prepared statement follows each switch', 'PREPARE p(int) AS SELECT count(*), max(b) FROM t WHERE a = $1;');
follows('EXECUTE p(7)', [ '0|', '1|old 7', '1|new 7' ], 'a generic plan follows each switch',
	'SET plan_cache_mode = force_generic_plan; PREPARE p(int) AS SELECT count(*), max(b) FROM t WHERE a = $1;');
follows('SELECT counts()', [ 0, 100, 10 ], 'a PL/pgSQL function follows each switch', 'SELECT counts() \g /dev/null' . "\n" . 'SELECT counts() \g /dev/null' . "\n");
follows('SELECT counts_sql()', [ 0, 100, 10 ], 'an SQL function follows each switch');
follows('SELECT dynamic()', [ '', 'old 99', 'new 9' ], 'dynamic SQL follows each switch');
follows('SELECT loops()', [ '', 'old 1;old 2;', 'new 1;new 2;' ], 'a loop over a query follows each switch');
follows('SELECT version()', [ 'two', 'one', 'two' ], 'a function that was replaced has the body of the moment', 'SET search_path = public, pg_catalog;');
follows('SELECT count(*), max(b) FROM v', [ '0|', '3|old 3', '5|new 5' ], 'a view that was replaced has the definition of the moment');
follows('SELECT * FROM row_of(1)', [ '||', '1|old 1', '1|new 1|5' ], 'a row type has the columns of the moment');
follows('SELECT string_agg(attname, \',\' ORDER BY attnum) FROM pg_attribute WHERE attrelid = \'t\'::regclass AND attnum > 0', [ 'a,b,c', 'a,b', 'a,b,c' ],
	'the catalogs follow each switch');
follows('SELECT which FROM named', [ 'second', 'first', 'second' ], 'search_path is resolved at the moment', 'SET search_path = first, second, public;');
follows('EXECUTE p', [ 'second', 'first', 'second' ], 'a prepared statement resolves search_path at the moment', 'SET search_path = first, second, public; PREPARE p AS SELECT which FROM named;');

my ($out, $error) = try_sql($node, "PREPARE p AS SELECT * FROM t; SET strata.travel_time = '$then'; EXECUTE p;");
like($error, qr/0A000: .*cached plan must not change result type/, 'a prepared statement whose columns differ in the past says so, as after ALTER TABLE');
($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; PREPARE p AS SELECT count(*) FROM t; RESET strata.travel_time; EXECUTE p;");
is("$out$error", 0, 'a statement that was prepared in the past is executed in the present');
($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; PREPARE p AS SELECT which FROM first.named; EXECUTE p; RESET strata.travel_time; EXECUTE p;");
is($out, 'first', 'a statement over a table that exists in the past only is executed there');
like($error, qr/42P01: /, 'and is an error in the present');
($out, $error) = try_sql($node, "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT b FROM t ORDER BY a; COMMIT; SET strata.travel_time = '$then'; FETCH c; SELECT count(*) FROM t; CLOSE c;");
is("$out$error", 100, 'a WITH HOLD cursor of the present keeps its rows, of which there are none');
($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT b FROM t ORDER BY a; FETCH c; COMMIT; RESET strata.travel_time; FETCH 2 FROM c; SELECT count(*) FROM t;");
is("$out$error", "old 1\nold 2\nold 3\n0", 'a WITH HOLD cursor of the past can be read in the present');
($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; DO 'DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM t; COMMIT; ASSERT n = 100; SELECT count(*) INTO n FROM t; ASSERT n = 100; END'; SELECT 'done';");
is("$out$error", 'done', 'COMMIT within a procedure stays at the moment');
($out, $error) = try_sql($node, "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SET strata.travel_time = '$then'; SELECT count(*) FROM t;");
like("$out$error", qr/^100$|55000/, 'a session with temporary functions travels or says why not');
($out, $error) = try_sql($node, "SET strata.travel_time = '$then'; SELECT count(*) FROM t \\bind \\g\nSELECT \$1::int + count(*) FROM t \\bind 5 \\g\nRESET strata.travel_time; SELECT count(*) FROM t \\bind \\g\n");
is("$out$error", "100\n105\n0", 'the extended query protocol follows each switch');

# A function with a moment of its own is not made, so none is called.
my $peek = "CREATE FUNCTION peek() RETURNS bigint LANGUAGE plpgsql SET strata.travel_time = '$then' AS 'BEGIN RETURN (SELECT count(*) FROM t); END'";
like((try_sql($node, $peek))[1], qr/0A000: .*cannot have a moment of its own/, 'a function cannot travel by a SET clause');
like((try_sql($node, "SET check_function_bodies = off; $peek"))[1], qr/0A000: /, 'nor where that is not checked');
$peek =~ s/ SET strata\.travel_time = '[^']*'//;
($out, $error) = try_sql($node, "$peek; ALTER FUNCTION peek() SET strata.travel_time = '$then'; SELECT peek(); DROP FUNCTION peek()");
like($error, qr/0A000: /, 'nor by ALTER FUNCTION');
is($out, 0, 'and the session that calls it stays in the present');

log_is_clean($node);
$node->stop;
done_testing();
