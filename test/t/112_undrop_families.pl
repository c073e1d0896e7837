# Partitions, tables that inherit, views, sequences and other kinds come back from DROP CASCADE: for pg_dump nothing is missing.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataUndrop;
use Test::More;

my $node = new_node('undrop_families');
my $place = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', 'CREATE EXTENSION strata');
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$place'");
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE regions (id int PRIMARY KEY);
INSERT INTO regions VALUES (1), (2), (3);
CREATE TABLE sales (id int GENERATED ALWAYS AS IDENTITY, region int REFERENCES regions, day date NOT NULL, total numeric CHECK (total > 0) DEFAULT 1,
	PRIMARY KEY (id, region, day)) PARTITION BY LIST (region);
CREATE TABLE sales_1 PARTITION OF sales FOR VALUES IN (1) PARTITION BY RANGE (day);
CREATE TABLE sales_1_old PARTITION OF sales_1 (total DEFAULT 2) FOR VALUES FROM (MINVALUE) TO ('2026-01-01') WITH (fillfactor = 70);
CREATE TABLE sales_1_new (day date NOT NULL, total numeric, region int NOT NULL, id int NOT NULL, CONSTRAINT sales_total_check CHECK (total > 0));
ALTER TABLE sales_1 ATTACH PARTITION sales_1_new FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE TABLE sales_rest PARTITION OF sales DEFAULT;
CREATE INDEX by_day ON sales (day);
CREATE INDEX only_here ON sales_rest (total) TABLESPACE elsewhere;
CREATE TABLE refunds (sale int, region int, day date, FOREIGN KEY (sale, region, day) REFERENCES sales);
CREATE TRIGGER touches BEFORE UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE sales_rest DISABLE TRIGGER touches;
ALTER TABLE sales REPLICA IDENTITY FULL;
COMMENT ON TABLE sales_1_old IS 'a partition of a partition';
GRANT SELECT ON sales_1 TO pg_read_all_stats;
INSERT INTO sales (region, day, total) SELECT i % 3 + 1, date '2025-12-01' + i, i + 1 FROM generate_series(0, 99) i;
INSERT INTO refunds SELECT id, region, day FROM sales WHERE id < 10;
CREATE VIEW sums AS SELECT region, sum(total) FROM sales GROUP BY 1;

CREATE TABLE animals (id serial PRIMARY KEY, name text NOT NULL, CONSTRAINT named CHECK (name <> ''), CONSTRAINT own CHECK (id > 0) NO INHERIT) TABLESPACE elsewhere;
CREATE TABLE cats (lives int DEFAULT 9, name text STORAGE EXTERNAL NOT NULL) INHERITS (animals);
CREATE TABLE wild (place text COMPRESSION pglz);
CREATE TABLE tigers (stripes int) INHERITS (cats, wild);
ALTER TABLE cats ADD CONSTRAINT many CHECK (lives > 0) NOT VALID;
ALTER TABLE tigers ALTER place SET COMPRESSION pglz, ALTER lives SET DEFAULT 1;
INSERT INTO animals (name) VALUES ('ant'); INSERT INTO cats (name) VALUES ('tom'); INSERT INTO tigers (name, place, stripes) VALUES ('shir', 'jungle', 7);

CREATE TYPE point3 AS (x int, y int, z int);
CREATE TABLE typed OF point3 (x NOT NULL, PRIMARY KEY (y));
INSERT INTO typed VALUES (1, 2, 3);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE computed (g int GENERATED ALWAYS AS (7) STORED, h int GENERATED ALWAYS AS (8) VIRTUAL);
INSERT INTO computed DEFAULT VALUES;
CREATE UNLOGGED TABLE fleeting (id int GENERATED ALWAYS AS IDENTITY, t text);
CREATE SEQUENCE counter AS smallint INCREMENT -3 MINVALUE -300 MAXVALUE 90 START 90 CACHE 5 CYCLE;
CREATE TABLE counted (a int DEFAULT nextval('counter'), b int DEFAULT nextval('counter'));
CREATE FOREIGN DATA WRAPPER nobody;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nobody OPTIONS (a 'b');
CREATE FOREIGN TABLE remote (id int OPTIONS (c 'd') NOT NULL, t text CHECK (t <> 'x')) SERVER nowhere OPTIONS (e 'f');
CREATE TABLE booking (room int, during tsrange, valid int4range, PRIMARY KEY (valid), EXCLUDE USING gist (during WITH &&) WHERE (room > 1) DEFERRABLE);
CREATE TABLE stays (valid int4range CONSTRAINT far REFERENCES booking NOT ENFORCED);
INSERT INTO booking VALUES (2, '[2026-01-01, 2026-01-02)', '[1,2)');
CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree);
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2);
CREATE TABLE ring_a (id int PRIMARY KEY, b int); CREATE TABLE ring_b (id int PRIMARY KEY, a int REFERENCES ring_a); ALTER TABLE ring_a ADD FOREIGN KEY (b) REFERENCES ring_b;
INSERT INTO ring_a VALUES (1, NULL); INSERT INTO ring_b VALUES (1, 1); UPDATE ring_a SET b = 1;
CREATE FUNCTION area(tree) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
ALTER TABLE tree ADD CHECK (area(tree) = 1);
CREATE VIEW roots AS SELECT area(t) FROM tree t;
CREATE MATERIALIZED VIEW stale AS SELECT * FROM tree WITH NO DATA;
CREATE TABLE wide (id int PRIMARY KEY, t text);
INSERT INTO wide SELECT i, repeat(md5(i::text), 500 * (i % 3)) FROM generate_series(1, 20) i;
SQL

my @cases = (
	[ 'sales', 'a partitioned table with partitions of partitions' ], [ 'sales_1', 'a partition that is partitioned, of a table that stays' ], [ 'sales_rest', 'a default partition' ],
	[ 'regions', 'a table that a partitioned one refers to' ],
	[ 'animals', 'a table with tables that inherit from it' ], [ 'tigers', 'a table that inherits from two' ], [ 'wild', 'one of its parents' ],
	[ 'typed', 'a typed table' ], [ 'nothing', 'a table without columns' ], [ 'computed', 'one that is only computed' ], [ 'fleeting', 'an unlogged table' ],
	[ 'remote', 'a foreign table' ], [ 'booking', 'exclusion constraints and ranges' ], [ 'tree', 'a table that refers to itself and has a check over itself' ],
	[ 'ring_a', 'tables that refer to each other' ], [ 'ring_b', 'and the other way round' ], [ 'counter', 'a sequence that defaults use' ], [ 'counted', 'the table that uses it' ],
	[ 'roots', 'a view' ], [ 'stale', 'a materialized view without rows' ], [ 'wide', 'values out of line' ]);
my $before = dump_of($node, 'postgres');
for my $case (@cases)
{
	my ($table, $what) = @$case;
	$node->safe_psql('postgres', "DROP " . ($table eq 'counter' ? 'SEQUENCE' : $table eq 'roots' ? 'VIEW' : $table eq 'stale' ? 'MATERIALIZED VIEW' : $table eq 'remote' ? 'FOREIGN TABLE' : 'TABLE') . " $table CASCADE");
	my ($out, $error) = try_sql($node, "SELECT * FROM strata.undrop('$table') WHERE outcome <> 'restored' OR reason !~ '^[0-9]+ rows?\$'");
	is($out . $error, $table eq 'fleeting' ? 'table|public.fleeting|restored|without rows: history has none of unlogged tables' : '', "all comes back: $what");
	same_dump($before, dump_of($node, 'postgres'), "as it was: $what");
}
is($node->safe_psql('postgres', "SELECT amcheck FROM (SELECT count(*) AS amcheck FROM pg_index WHERE NOT indisvalid) x"), '0', 'every index is valid');

# A tablespace that is gone.
$node->safe_psql('postgres', 'DROP TABLE animals CASCADE; DROP INDEX only_here; DROP TABLESPACE elsewhere');
like($node->safe_psql('postgres', "SELECT * FROM strata.undrop('animals')"), qr/^table\|public\.animals\|restored\|in the default tablespace: "elsewhere" is gone; 1 row$/m, 'where a tablespace is gone, the default one serves');
log_is_clean($node);
$node->stop;
done_testing();
