# One statement, several moments: strata.query_at(), what it hands over and what it gives back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('query_at');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE orders (id int PRIMARY KEY, total numeric, note text, m mood, p positive, tags text[]);
INSERT INTO orders SELECT i, i * 1.5, 'n' || i, 'happy', i, ARRAY['a', i::text] FROM generate_series(1, 5) i;
CREATE TABLE wide (id int, t text);
ALTER TABLE wide ALTER t SET STORAGE EXTERNAL;
INSERT INTO wide SELECT i, repeat(md5(i::text), 3000) FROM generate_series(1, 20) i;
CREATE TABLE gone (a int, b text);
INSERT INTO gone VALUES (1, 'one'), (2, 'two');
SQL
my $then = now_in($node);
my $lsn = lsn_in($node);
my $wide = $node->safe_psql('postgres', 'SELECT md5(string_agg(t, \'\' ORDER BY id)) FROM wide');
$node->safe_psql('postgres', <<'SQL');
DELETE FROM orders WHERE id <= 2;
UPDATE orders SET total = 0;
DELETE FROM wide;
DROP TABLE gone;
SQL
my $now = now_in($node);
$node->safe_psql('postgres', "CREATE FUNCTION leave() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN EXECUTE ''RESET strata.travel_lsn''; RETURN (SELECT count(*) FROM orders); END'");
my $later = now_in($node);

# A moment, in each of its forms.
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT id, total FROM orders WHERE id < 3 ORDER BY id') AS t(id int, total numeric)", "1|1.5\n2|3.0", 'a time in words');
sql_prints($node, "SELECT * FROM strata.query_at('$then'::timestamptz, 'SELECT count(*) FROM orders') AS t(n bigint)", 5, 'a time');
sql_prints($node, "SELECT * FROM strata.query_at('$lsn'::pg_lsn, 'SELECT count(*) FROM orders') AS t(n bigint)", 5, 'an LSN');
sql_prints($node, "SELECT * FROM strata.query_at('$lsn', 'SELECT count(*) FROM orders') AS t(n bigint)", 5, 'an LSN in words');
sql_prints($node, "SELECT * FROM strata.query_at('-0 seconds', 'SELECT count(*) FROM orders') AS t(n bigint)", 3, 'an interval before now');
sql_fails($node, "SELECT * FROM strata.query_at('-100 years', 'SELECT 1') AS t(n int)", qr/22023: .*history does not reach back/, 'a moment before the horizon is an error');
sql_fails($node, "SELECT * FROM strata.query_at('2999-01-01', 'SELECT 1') AS t(n int)", qr/22023: .*in the future/, 'so is the future');
sql_fails($node, "SELECT * FROM strata.query_at(NULL::timestamptz, 'SELECT 1') AS t(n int)", qr/22004: .*moment must not be null/, 'so is none');

# Then and now, and two moments, in one statement.
my $q = sub { my ($at) = @_; return "strata.query_at('$at', 'SELECT id, total FROM orders')"; };
sql_prints($node, "SELECT id FROM " . $q->($then) . " AS t(id int, total numeric) WHERE id NOT IN (SELECT id FROM orders) ORDER BY id", "1\n2", 'rows that are gone');
sql_prints($node, "SELECT count(*), count(n.id), sum(t.total), sum(n.total) FROM " . $q->($then) . " AS t(id int, total numeric) LEFT JOIN " . $q->($now) . " AS n(id int, total numeric) USING (id)",
	'5|3|22.5|0', 'two moments joined');
sql_prints($node, "SELECT string_agg((SELECT n::text FROM strata.query_at(m, 'SELECT count(*) FROM orders') AS t(n bigint)), ',') FROM unnest(ARRAY['$then', '$now', '$then']::timestamptz[]) m",
	'5,3,5', 'a moment for each row');
sql_prints($node, "SELECT strata.query_at('$then', 'SELECT id, total, m FROM orders ORDER BY id') LIMIT 2", "(1,1.5,happy)\n(2,3.0,happy)", 'in a target list, without a column definition list');

# Where it can stand.
sql_prints($node, "CREATE TABLE saved AS SELECT * FROM " . $q->($then) . " AS t(id int, total numeric); INSERT INTO saved SELECT id + 100, total FROM " . $q->($then) . " AS t(id int, total numeric); SELECT count(*) FROM saved", 10,
	'in CREATE TABLE AS and INSERT');
sql_prints($node, "UPDATE saved SET total = -t.total FROM " . $q->($then) . " AS t(id int, total numeric) WHERE t.id = saved.id; SELECT count(*) FROM saved WHERE total < 0", 5, 'in UPDATE FROM');
sql_prints($node, "CREATE VIEW old AS SELECT * FROM " . $q->($then) . " AS t(id int, total numeric); SELECT count(*) FROM old; DROP VIEW old", 5, 'in a view');
for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	sql_prints($node, "BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM orders; SELECT count(*) FROM " . $q->($then) . " AS t(id int, total numeric); DELETE FROM orders; SELECT count(*) FROM "
		  . $q->($then) . " AS t(id int, total numeric); ROLLBACK; SELECT count(*) FROM orders", "3\n5\n5\n3", "in a transaction, $level");
}
sql_prints($node, "BEGIN; DECLARE c CURSOR FOR SELECT id FROM " . $q->($then) . " AS t(id int, total numeric) ORDER BY id; FETCH 2 FROM c; SELECT count(*) FROM orders; FETCH 1 FROM c; CLOSE c; COMMIT", "1\n2\n3\n3", 'in a cursor');
sql_prints($node, "BEGIN; DECLARE c CURSOR FOR SELECT strata.query_at('$then', 'SELECT id FROM orders ORDER BY id'); FETCH 2 FROM c; SAVEPOINT s; SELECT 1/0; ROLLBACK TO s; FETCH 1 FROM c; COMMIT", "(1)\n(2)\n(3)",
	'an open call outlives a failed savepoint');
sql_prints($node, "DO \$\$ DECLARE n bigint; BEGIN FOR i IN 1..3 LOOP SELECT t.n INTO n FROM strata.query_at('$then', 'SELECT count(*) FROM orders') AS t(n bigint); RAISE NOTICE 'n %', n; END LOOP; END \$\$; SELECT 'done'", 'done', 'in a function');
sql_prints($node, "SET strata.travel_time = '$now'; SELECT count(*) FROM orders; SELECT * FROM strata.query_at('$then', 'SELECT count(*) FROM orders') AS t(n bigint); SELECT count(*) FROM orders; SHOW strata.travel_time; RESET strata.travel_time; SELECT count(*) FROM orders",
	"3\n5\n3\n$now\n3", 'from a session that travels itself');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT n FROM strata.query_at(\$1, ''SELECT count(*) FROM orders'') AS t(n bigint)', '$now'::timestamptz) AS t(n bigint)", 3, 'a query of the past that asks for another moment');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SHOW strata.travel_lsn') AS t(l text)", $node->safe_psql('postgres', "SELECT strata.lsn_at('$then')"), 'SHOW in the query says where it is');
like((try_sql($node, "SELECT * FROM strata.query_at('$then', 'EXPLAIN SELECT * FROM orders') AS t(l text)"))[0], qr/Seq Scan on orders/, 'EXPLAIN of the past');

# Rows come one by one, in FROM too, and the scan that brings them does what one of a function does.
my $endless = "strata.query_at('$then', 'SELECT generate_series(1, 1000000000000)') AS t(i bigint)";
sql_prints($node, "SET statement_timeout = '60s'; SELECT i FROM $endless LIMIT 2; SELECT EXISTS (SELECT FROM $endless WHERE i > 3); BEGIN; DECLARE c CURSOR FOR SELECT i FROM $endless; FETCH 2 FROM c; COMMIT", "1\n2\nt\n1\n2",
	'a LIMIT, an EXISTS and the end of a cursor stop a query without end');
like((try_sql($node, "EXPLAIN SELECT id FROM " . $q->($then) . " AS t(id int, total numeric) WHERE id > 1"))[0], qr/Custom Scan \(StrataPastScan\).*Filter: .*Rows of: query_at/s, 'EXPLAIN shows the scan');
sql_prints($node, "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SELECT count(*), count(DISTINCT t.id) FROM orders o, " . $q->($then) . " AS t(id int, total numeric) WHERE o.id <= t.id", '6|3', 'it is scanned again');
sql_prints($node, "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id FROM " . $q->($then) . " AS t(id int, total numeric) ORDER BY id + 0; FETCH 3 FROM c; FETCH PRIOR FROM c; COMMIT; BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id FROM strata.query_at('$then', 'SELECT id FROM orders ORDER BY id') AS t(id int); FETCH 2 FROM c; FETCH PRIOR FROM c; COMMIT", "1\n2\n3\n2\n1\n2\n1", 'backwards too, in a cursor');
sql_prints($node, "PREPARE p(timestamptz, int) AS SELECT t.id, \$2 FROM strata.query_at(\$1, 'SELECT id FROM orders WHERE id = \$1', \$2) AS t(id int); SET plan_cache_mode = force_generic_plan; EXECUTE p('$then', 1); EXECUTE p('$now', 1); EXECUTE p('$then', 2)", "1|1\n2|2", 'a prepared statement');
sql_prints($node, "SELECT t, t.id FROM " . $q->($then) . " AS t(id int, total numeric) WHERE id = 1", '(1,1.5)|1', 'a whole row');
sql_prints($node, "SELECT total, n FROM ROWS FROM (strata.query_at('$then', 'SELECT id, total FROM orders ORDER BY id') AS (id int, total numeric)) WITH ORDINALITY AS t(id, total, n) LIMIT 1", '1.5|1', 'and works with it');
sql_prints($node, "SELECT count(*) FROM " . $q->($then) . " AS t(id int, total numeric)", 5, 'no column at all');
$node->safe_psql('postgres', 'CREATE ROLE barred SUPERUSER LOGIN; ALTER ROLE barred NOSUPERUSER; GRANT USAGE ON SCHEMA strata TO barred; REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA strata FROM PUBLIC');
sql_fails($node, "SELECT * FROM " . $q->($then) . " AS t(id int, total numeric)", qr/42501: .*permission denied for function query_at/, 'the right to execute the function is asked', user => 'barred');

# Parameters.
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT id FROM orders WHERE id = \$1 AND note = \$2 AND m = \$3 AND p = \$4 AND tags = \$5', 2, 'n2', 'happy'::mood, 2::positive, ARRAY['a', '2']) AS t(id int)", 2, 'parameters of many types');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT \$1::int IS NULL, \$2', NULL::int, NULL::text) AS t(a bool, b text)", 't|', 'null parameters');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT id FROM orders WHERE id = ANY (ARRAY[\$1, \$2])', VARIADIC ARRAY[1, 2]) AS t(id int) ORDER BY 1", "1\n2", 'VARIADIC with an array');
sql_prints($node, "SELECT o.id, t.note FROM orders o, strata.query_at('$then', 'SELECT note FROM orders WHERE id = \$1', o.id) AS t(note text) ORDER BY 1", "3|n3\n4|n4\n5|n5", 'parameters from another table of the statement');
sql_prints($node, "SELECT length(t) FROM strata.query_at('$then', 'SELECT \$1', repeat('x', 1000000)) AS t(t text)", 1000000, 'a parameter that is larger than the queue');

# Types.
sql_prints($node, "SELECT md5(string_agg(t, '' ORDER BY id)) FROM strata.query_at('$then', 'SELECT id, t FROM wide') AS t(id int, t text)", $wide, 'values out of line');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT m, p, tags FROM orders WHERE id = 1') AS t(m mood, p positive, tags text[])", 'happy|1|{a,1}', 'an enum, a domain and an array');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT m, p, o FROM orders o WHERE id = 1') AS t(m text, p int, o text)", 'happy|1|(1,1.5,n1,happy,1,"{a,1}")', 'each as text, or as what a domain is over');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT ''gone''::regclass') AS t(c text)", 'gone', 'the name of a table that is gone');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT a, b FROM gone ORDER BY a') AS t(a int, b text)", "1|one\n2|two", 'a table that is gone');
sql_prints($node, "SELECT * FROM strata.query_at('$then', 'SELECT 1.237') AS t(n numeric(4,2))", '1.24', 'a length in the column definition list is applied');
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'SELECT ''abcdef''::text') AS t(n varchar(3))", qr/22001: .*too long/s, 'and may be too short');
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'SELECT id, note FROM orders') AS t(id int, note int)", qr/42804: .*column 2 \("note"\) of the query has type text, and type integer is expected/, 'another type is an error that names the column');
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'SELECT id, note FROM orders') AS t(id int)", qr/42804: .*returns 2 columns, and 1 are expected/, 'so is another number of columns');
sql_prints($node, "ALTER TYPE mood RENAME VALUE 'happy' TO 'glad'", '', 'an enum value is renamed');
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'SELECT m FROM orders') AS t(m mood)", qr/22P02: .*invalid input value for enum mood: "happy"/, 'a value that the type of now has not is an error');
sql_prints($node, "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy'", '', 'and it is named back');

my $error;

# Only reading, one statement, that returns rows.
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'INSERT INTO orders VALUES (9) RETURNING id') AS t(id int)", qr/25006: .*cannot execute INSERT while travelling in time/, 'writing is refused');
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'SELECT nextval(''x'')') AS t(id int)", qr/ERROR/, 'so is nextval');
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'SELECT 1; SELECT 2') AS t(id int)", qr/42601: .*only one statement/, 'two statements are refused');
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'DROP TABLE orders') AS t(id int)", qr/42601: .*DROP TABLE query does not return tuples/, 'a statement without rows is refused');
sql_fails($node, "SELECT * FROM strata.query_at('$then', '') AS t(id int)", qr/42601/, 'nothing too');
sql_fails($node, "SELECT * FROM strata.query_at('$then', 'SELECT set_config(''strata.travel_$_'', '''', false)') AS t(id text)", qr/55000: .*cannot travel in time itself/, "the query cannot leave its moment by strata.travel_$_") for qw(time lsn);
$error = sql_prints($node, "SELECT * FROM strata.query_at('$later', 'SELECT leave()') AS t(n bigint); SELECT * FROM strata.query_at('$later', 'SELECT count(*) FROM orders') AS t(n bigint)", 3, 'nor by RESET, after which the traveller is sent there anew');
like($error, qr/25001/, 'and which is an error for what follows in the query');

log_is_clean($node);
$node->stop;
done_testing();
