# A dump of the past through PGOPTIONS is the dump that was taken then.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('dump');
my $dir = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE owner;
CREATE ROLE reader IN ROLE owner;
CREATE SCHEMA app AUTHORIZATION owner;
CREATE TYPE app.colour AS ENUM ('red', 'green');
CREATE TABLE app.parent (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'x', c app.colour, big text);
CREATE TABLE app.child (id int REFERENCES app.parent, at timestamptz, CHECK (id > 0)) PARTITION BY RANGE (at);
CREATE TABLE app.child_1 PARTITION OF app.child DEFAULT;
INSERT INTO app.parent (c, big) SELECT 'red', repeat(md5(i::text), 200) FROM generate_series(1, 300) i;
INSERT INTO app.child SELECT i, '2020-01-01'::timestamptz + i * interval '1 h' FROM generate_series(1, 300) i;
CREATE VIEW app.v AS SELECT p.name, c.at FROM app.parent p JOIN app.child c USING (id);
CREATE MATERIALIZED VIEW app.m AS SELECT count(*) FROM app.parent;
CREATE FUNCTION app.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';
CREATE INDEX ON app.parent USING gin (to_tsvector('simple', name));
CREATE TRIGGER tr BEFORE UPDATE ON app.parent FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
GRANT SELECT ON app.parent TO reader;
ALTER TABLE app.parent ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON app.parent USING (id > 1);
COMMENT ON TABLE app.parent IS 'parents';
SELECT lo_from_bytea(4711, 'large object');
-- nextval logs up to 32 values ahead: only what setval has written is exact in the past.
SELECT setval('app.parent_id_seq', 300);
CREATE DATABASE second;
SQL
$node->safe_psql('second', 'CREATE TABLE only_here AS SELECT generate_series(1, 10) AS a');

# A dump without the lines that are random in every dump.
sub dump_of
{
	my ($file, @command) = @_;
	command_ok([ @command, '-f', $file ], "$command[0] succeeds (" . ($ENV{PGOPTIONS} ? 'in the past)' : 'in the present)'));
	my $text = slurp_file($file);
	$text =~ s/^\\(un)?restrict .*\n//mg;
	return $text;
}

my @dump = ('pg_dump', '-d', $node->connstr('postgres'), '--statistics');
my @dumpall = ('pg_dumpall', '-d', $node->connstr('postgres'));
$node->safe_psql('postgres', 'ANALYZE');
my $dumped = dump_of("$dir/then.sql", @dump);
my $all_dumped = dump_of("$dir/all_then.sql", @dumpall);
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-Fd', '-f', "$dir/folder_then" ], 'pg_dump makes a folder in the present');
my $then = now_in($node);

$node->safe_psql('postgres', <<'SQL');
DROP MATERIALIZED VIEW app.m;
DROP TABLE app.child CASCADE;
ALTER TABLE app.parent DROP name CASCADE, ADD later int;
UPDATE app.parent SET big = 'changed';
DELETE FROM app.parent WHERE id > 20;
DROP FUNCTION app.f;
ALTER TYPE app.colour ADD VALUE 'blue';
SELECT lo_unlink(4711);
ALTER SCHEMA app RENAME TO application;
CREATE TABLE late (a int);
REVOKE owner FROM reader;
CREATE ROLE latecomer SUPERUSER;
SQL
$node->safe_psql('postgres', 'CREATE DATABASE late');
$node->safe_psql('second', 'DROP TABLE only_here');
isnt(dump_of("$dir/now.sql", @dump), $dumped, 'a dump of the present is another one');

{
	local $ENV{PGOPTIONS} = pgoptions($then);
	# Compared as a truth value: a difference would print both dumps.
	ok(dump_of("$dir/past.sql", @dump) eq $dumped, 'pg_dump of the past is the dump that was taken then, byte for byte')
	  or diag(`diff -I restrict "$dir/then.sql" "$dir/past.sql" | head -40`);
	ok(dump_of("$dir/all_past.sql", @dumpall) eq $all_dumped, 'pg_dumpall of the past is the dump that was taken then, byte for byte')
	  or diag(`diff -I restrict "$dir/all_then.sql" "$dir/all_past.sql" | head -40`);
	command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-Fd', '-j', '2', '-f', "$dir/folder_past" ], 'pg_dump -j 2 of the past succeeds');
}
for my $folder ('then', 'past')
{
	system_or_bail('pg_restore', '-f', "$dir/restored_$folder.sql", "$dir/folder_$folder");
}
my ($restored_then, $restored_past) = map { slurp_file("$dir/restored_$_.sql") } ('then', 'past');
s/^\\(un)?restrict .*\n//mg for $restored_then, $restored_past;
ok($restored_past eq $restored_then, 'a parallel dump of the past holds the same');

# What a dump is for: bringing back what was dropped.
$node->safe_psql('postgres', 'CREATE DATABASE rescued');
command_ok([ 'psql', '-Xq', '-d', $node->connstr('rescued'), '-v', 'ON_ERROR_STOP=1', '-f', "$dir/past.sql" ], 'a dump of the past can be restored');
is($node->safe_psql('rescued', 'SELECT count(*) FROM app.child'), 300, 'dropped rows are rescued from the past');

log_is_clean($node);
$node->stop;
done_testing();
