# A schema that was dropped comes back with all that was in it: strata.undrop_schema().
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataUndrop;
use Test::More;

my $node = new_node('undrop_schema');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE ROLE seller LOGIN;
CREATE ROLE stranger LOGIN;
GRANT SET ON PARAMETER strata.travel_lsn TO stranger;
CREATE SCHEMA shop;
SET search_path = shop, public;
CREATE TYPE mood AS ENUM ('sad', 'happy');
ALTER TYPE mood ADD VALUE 'between' BEFORE 'happy';
CREATE DOMAIN positive AS numeric(10, 2) DEFAULT 1 CONSTRAINT above CHECK (VALUE > 0) CONSTRAINT there NOT NULL;
CREATE TYPE pair AS (a int, b text COLLATE "C");
CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi);
CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql RETURN $1 * 2;
CREATE TABLE films (id serial PRIMARY KEY, title text NOT NULL, feeling mood DEFAULT 'happy', price positive, of pair, during span, double int GENERATED ALWAYS AS (shop.twice(id)) STORED, CHECK (shop.twice(id) > 0));
CREATE TABLE actors (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
CREATE TABLE plays (film int REFERENCES films, actor int REFERENCES actors, PRIMARY KEY (film, actor));
CREATE TABLE payments (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE payments_1 PARTITION OF payments FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE INDEX ON payments (id);
CREATE FUNCTION title_of(films) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.title';
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER stamps BEFORE UPDATE ON films FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE VIEW titles AS SELECT shop.title_of(f) AS title, name FROM films f JOIN plays ON film = f.id JOIN actors a ON a.id = actor;
CREATE MATERIALIZED VIEW counts AS SELECT count(*) FROM titles;
CREATE PROCEDURE clean() LANGUAGE sql AS 'DELETE FROM shop.plays';
CREATE SEQUENCE loose START 7;
CREATE TABLE public.rentals (film int REFERENCES shop.films, day date);
COMMENT ON SCHEMA shop IS 'a shop';
COMMENT ON TYPE mood IS 'a mood';
COMMENT ON DOMAIN positive IS 'a domain';
GRANT USAGE ON SCHEMA shop TO seller WITH GRANT OPTION;
GRANT USAGE ON TYPE mood TO seller; REVOKE ALL ON DOMAIN positive FROM PUBLIC;
ALTER TYPE pair OWNER TO seller; ALTER TABLE films OWNER TO seller;
INSERT INTO films (title, of, during) SELECT 'f' || i, (i, 'x')::pair, span(i, i + 1) FROM generate_series(1, 50) i;
INSERT INTO actors (name) SELECT 'a' || i FROM generate_series(1, 20) i;
INSERT INTO plays SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO payments SELECT 1, '2026-01-05';
INSERT INTO public.rentals SELECT 1, '2026-01-01';
REFRESH MATERIALIZED VIEW counts;
SELECT nextval('loose');
SQL
my $before = dump_of($node, 'postgres');
$node->safe_psql('postgres', 'DROP SCHEMA shop CASCADE');
my $gone = dump_of($node, 'postgres');
sql_prints($node, "SELECT count(*) FROM strata.undrop_schema('shop', dry_run => true) WHERE outcome <> 'restored'", 0, 'a dry run');
same_dump($gone, dump_of($node, 'postgres'), 'changes nothing');
sql_prints($node, "SELECT * FROM strata.undrop_schema('shop') WHERE outcome <> 'restored' OR kind IN ('schema', 'table') ORDER BY kind, identity",
	"schema|shop|restored|\ntable|shop.actors|restored|20 rows\ntable|shop.films|restored|50 rows\ntable|shop.payments|restored|\ntable|shop.payments_1|restored|1 row\ntable|shop.plays|restored|20 rows", 'all of it comes back');
same_dump($before, dump_of($node, 'postgres'), 'for pg_dump nothing is missing, and nothing is different');
sql_fails($node, "SELECT strata.undrop_schema('shop')", qr/42P06: schema "shop" already exists\nHINT/, 'a schema that is there is an error');

$node->safe_psql('postgres', 'CREATE AGGREGATE shop.total(int) (SFUNC = int4pl, STYPE = int); CREATE TABLE public.moods (id int, m shop.mood); DROP SCHEMA shop CASCADE');
sql_fails($node, "SELECT strata.undrop_schema('shop')", qr/42501: must be owner of schema shop/, 'a stranger may not', user => 'stranger');
sql_prints($node, "SELECT * FROM strata.undrop_schema('shop') WHERE outcome <> 'restored' ORDER BY kind",
	"aggregate|shop.total(integer)|skipped|objects of this kind are not restored\ntable column|public.moods.m|skipped|objects of this kind are not restored", 'what it cannot make it says');
sql_fails($node, "SELECT strata.undrop_schema('never')", qr/3F000: no schema "never" has been dropped in this database since/, 'what never was');
log_is_clean($node);
$node->stop;
done_testing();
