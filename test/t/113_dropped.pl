# What was dropped between two moments: strata.dropped().
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('dropped_objects');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE ROLE seller;
CREATE ROLE plain LOGIN;
CREATE SCHEMA shop;
CREATE TABLE shop.t (id serial PRIMARY KEY, long text);
ALTER TABLE shop.t OWNER TO seller;
INSERT INTO shop.t (long) SELECT 'x' FROM generate_series(1, 1000);
CREATE TABLE shop.parts (a int) PARTITION BY LIST (a);
CREATE TABLE shop.part PARTITION OF shop.parts FOR VALUES IN (1);
CREATE VIEW shop.v AS SELECT * FROM shop.t;
CREATE MATERIALIZED VIEW shop.m AS SELECT 1 AS one;
CREATE FUNCTION shop.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE shop.mood AS ENUM ('sad');
CREATE TYPE shop.pair AS (a int);
CREATE TABLE stays (a int);
CREATE DATABASE other;
SQL
my $bytes = $node->safe_psql('postgres', "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE oid IN ('shop.t'::regclass, 'shop.t_pkey'::regclass, (SELECT reltoastrelid FROM pg_class WHERE oid = 'shop.t'::regclass), (SELECT indexrelid FROM pg_index JOIN pg_class c ON c.reltoastrelid = indrelid WHERE c.oid = 'shop.t'::regclass))");
my $first = lsn_in($node);
$node->safe_psql('postgres', 'CREATE TEMP TABLE temporary (a int); TRUNCATE stays; VACUUM FULL stays; ALTER TABLE stays RENAME TO stayed; BEGIN; DROP TABLE stayed; ROLLBACK; BEGIN; CREATE TABLE brief (a int); DROP TABLE brief; COMMIT');
my $list = 'SELECT kind, identity, owner FROM strata.dropped';
my $owner = $node->safe_psql('postgres', 'SELECT current_user');
is($node->safe_psql('postgres', "$list('$first'::pg_lsn)"), '', 'nothing has been dropped by what drops nothing, or only what nobody else ever saw');
my $xid = $node->safe_psql('postgres', 'BEGIN; DROP TABLE shop.t CASCADE; SELECT pg_current_xact_id(); COMMIT');
my $second = lsn_in($node);
$node->safe_psql('postgres', 'DROP SCHEMA shop CASCADE');
$node->safe_psql('postgres', 'DROP DATABASE other');
is($node->safe_psql('postgres', "$list('$first'::pg_lsn, '$second'::pg_lsn) ORDER BY 1, 2"), <<"ROWS" =~ s/\n$//r, 'a table goes with all that is its own');
index|shop.t_pkey|seller
sequence|shop.t_id_seq|seller
table|shop.t|seller
view|shop.v|$owner
ROWS
is($node->safe_psql('postgres', "$list('$second'::pg_lsn) ORDER BY 1, 2"), <<"ROWS" =~ s/\n$//r, 'so does a schema; databases are listed, too');
database|other|$owner
function|shop.f(integer)|$owner
materialized view|shop.m|$owner
schema|shop|$owner
table|shop.part|$owner
table|shop.parts|$owner
type|shop.mood|$owner
type|shop.pair|$owner
ROWS
is($node->safe_psql('postgres', "SELECT bytes, xid = '$xid', lsn > '$first' AND lsn <= '$second', dropped_at BETWEEN now() - interval '1 hour' AND now(), reachable_until FROM strata.dropped('$first'::pg_lsn) WHERE identity = 'shop.t'"),
	"$bytes|t|t|t|", 'it says how large it was, by which transaction and when it went');
is($node->safe_psql('postgres', "SELECT count(*) FROM strata.dropped('-1 hour') WHERE identity = 'shop.t'"), 1, 'since an hour ago') if $node->safe_psql('postgres', "SELECT horizon_time < now() - interval '1 hour' FROM strata.status()") eq 't';
is($node->safe_psql('postgres', "SELECT d.kind FROM strata.dropped(strata.time_at('$first')) d WHERE identity = 'other'"), 'database', 'since a time');
is($node->safe_psql('postgres', "CREATE SCHEMA shop; SELECT u.outcome FROM strata.dropped('$first'::pg_lsn) d, strata.undrop(d.identity, d.lsn - 1) u WHERE d.identity = 'shop.t' AND u.kind = 'table'"),
	'restored', 'its LSN is where undrop() finds it');
$node->safe_psql('postgres', "ALTER SYSTEM SET strata.retention_time = '7 days'; SELECT pg_reload_conf()");
ok($node->poll_query_until('postgres', "SELECT reachable_until = dropped_at + interval '7 days' FROM strata.dropped('$first'::pg_lsn) WHERE identity = 'shop.t'"), 'retention says until when');
sql_fails($node, "SELECT * FROM strata.dropped('$first'::pg_lsn)", qr/42501/, 'who may not travel may not know', user => 'plain');
log_is_clean($node);
$node->stop;
done_testing();
