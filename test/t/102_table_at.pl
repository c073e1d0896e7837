# Rows of a table as it was, with its columns of now: strata.table_at() and strata.json_at().
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('table_at');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE SCHEMA "Shop";
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE point3 AS (x int, y int);
CREATE TABLE orders (old text, id int PRIMARY KEY, total int, "Odd name" text, m mood, p point3);
INSERT INTO orders SELECT 'o', i, i * 10, 'n' || i, 'happy', (i, i)::point3 FROM generate_series(1, 3) i;
CREATE TABLE plain (a int, b text);
INSERT INTO plain VALUES (1, 'x');
CREATE TABLE twice (a int);
INSERT INTO twice VALUES (1);
CREATE TABLE "Shop".gone (a int, b date);
INSERT INTO "Shop".gone VALUES (1, '2026-01-01'), (2, NULL);
CREATE TABLE parts (a int, b text) PARTITION BY LIST (a);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
INSERT INTO parts VALUES (1, 'one');
CREATE VIEW seen AS SELECT id, total FROM orders;
SQL
my $then = now_in($node);
$node->safe_psql('postgres', <<'SQL');
ALTER TABLE orders DROP COLUMN old;
ALTER TABLE orders ADD COLUMN added text DEFAULT 'new';
ALTER TABLE orders ADD COLUMN feeling mood;
DELETE FROM orders;
ALTER TABLE plain ALTER a TYPE bigint;
ALTER TABLE plain ALTER b TYPE varchar(10);
ALTER TABLE plain RENAME TO renamed;
DROP TABLE twice;
CREATE TABLE twice (a int, b int);
DROP TABLE "Shop".gone;
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
INSERT INTO parts VALUES (2, 'two');
CREATE TABLE young (a int);
SQL

sql_prints($node, "SELECT * FROM strata.table_at(NULL::orders, '$then') WHERE id < 3 ORDER BY id", "1|10|n1|happy|(1,1)||\n2|20|n2|happy|(2,2)||",
	'a column that was dropped is left out, one that was added is null');
sql_prints($node, "SELECT id, o FROM strata.table_at(NULL::orders, '$then'::timestamptz) o WHERE \"Odd name\" = 'n3'", '3|(3,30,n3,happy,"(3,3)",,)', 'as a whole row, by a time');
sql_prints($node, "SELECT count(*) FROM strata.table_at(NULL::orders, strata.lsn_at('$then'))", 3, 'by an LSN');
sql_prints($node, "INSERT INTO orders SELECT * FROM strata.table_at(NULL::orders, '$then') o WHERE NOT EXISTS (SELECT FROM orders n WHERE n.id = o.id); SELECT count(*), min(added) FROM orders", '3|', 'lost rows come back in one statement');
sql_prints($node, "SELECT *, pg_typeof(a), pg_typeof(b) FROM strata.table_at(NULL::renamed, '$then')", '1|x|bigint|character varying', 'a column of another type is cast, in a table of another name');
sql_prints($node, "SELECT * FROM strata.table_at(NULL::twice, '$then')", '1|', 'a table that was made anew is the one that had its name');
sql_prints($node, "SELECT * FROM strata.table_at(NULL::parts, '$then')", '1|one', 'a partitioned table has the partitions that it had');
sql_prints($node, "SELECT * FROM strata.table_at(NULL::seen, '$then') ORDER BY 1 LIMIT 1", '1|10', 'a view shows what it showed');
sql_prints($node, "SELECT relname FROM strata.table_at(NULL::pg_class, '$then') WHERE relname = 'gone'", 'gone', 'a catalog');
sql_fails($node, "SELECT * FROM strata.table_at(NULL::young, '$then')", qr/42P01: .*table "public\.young" did not exist at this moment/, 'a table that is younger is an error');
sql_fails($node, "SELECT * FROM strata.table_at(1, '$then')", qr/42809: .*type integer is not the row type of a table/, 'so is what is no row type');
$node->safe_psql('postgres', 'ALTER TABLE orders ALTER "Odd name" TYPE int USING 1');
sql_fails($node, "SELECT * FROM strata.table_at(NULL::orders, '$then')", qr/42804: .*column "Odd name" was of type .*text, which cannot be assigned to type .*integer/, 'a column that cannot be cast is an error that names it');
$node->safe_psql('postgres', 'DROP VIEW seen; ALTER TABLE orders DROP COLUMN "Odd name", ALTER total TYPE smallint');
sql_prints($node, "SELECT id, total FROM strata.table_at(NULL::orders, '$then') ORDER BY id", "1|10\n2|20\n3|30", 'without it the others are there, in a table with dropped columns');
$node->safe_psql('postgres', 'ALTER TABLE renamed ALTER b TYPE varchar(10)');
sql_prints($node, "SELECT * FROM strata.json_at('\"Shop\".gone', '$then')", qq({"a": 1, "b": "2026-01-01"}\n{"a": 2, "b": null}), 'a table that is gone, as JSON');
sql_prints($node, "SET search_path = \"Shop\"; SELECT count(*) FROM strata.json_at('gone', '$then'::timestamptz)", 2, 'found by the search path of the session');
sql_prints($node, "SELECT strata.json_at('plain', strata.lsn_at('$then'))->>'b' LIMIT 1", 'x', 'in a target list, by an LSN');
sql_fails($node, "SELECT * FROM strata.json_at('nowhere', '$then')", qr/42P01: .*relation "nowhere" does not exist/, 'a table that was not there is an error');
sql_fails($node, "SELECT * FROM strata.json_at('gone; DROP TABLE orders', '$then')", qr/ERROR:  42/, 'and a name is a name');

log_is_clean($node);
$node->stop;
done_testing();
