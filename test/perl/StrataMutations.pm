# Versions of a store that are changed behind right checksums, and what sessions and workers make of them.
package StrataMutations;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

our @EXPORT = qw(new_mutable_node workload lay_out_memory digest_of_present plan_store use_store visit beside merge_all restarts);

# Compaction is off, so that versions stay where they were written until a test asks for merges.
sub new_mutable_node
{
	my ($name) = @_;
	my $node = new_node($name, 'strata.compaction' => 'off', 'strata.merge_threshold' => 2, 'strata.memtable_size' => "'4MB'",
		max_wal_size => "'1GB'", wal_keep_size => "'1GB'", shared_buffers => "'32MB'");
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE EXTENSION bloom;
CREATE EXTENSION pageinspect;
CREATE TABLE docs (id int PRIMARY KEY, a int, b text, p point, tags int[], r int4range) WITH (fillfactor = 70);
CREATE INDEX docs_bloom ON docs USING bloom (id, a);
CREATE INDEX docs_hash ON docs USING hash (b);
CREATE INDEX docs_gin ON docs USING gin (tags);
CREATE INDEX docs_gist ON docs USING gist (r);
CREATE INDEX docs_spgist ON docs USING spgist (p);
CREATE INDEX docs_brin ON docs USING brin (a) WITH (pages_per_range = 1);
CREATE INDEX docs_a ON docs (a);
CREATE SEQUENCE rounds;
SQL
	return $node;
}

# Rounds of all kinds of records, in layers of more than one level afterwards. Returns the last moment.
sub workload
{
	my ($node, $count) = @_;
	for my $n (1 .. $count)
	{
		$node->safe_psql('postgres', <<"SQL");
INSERT INTO docs SELECT i, i % 97, md5(i::text), point(i % 100, i / 100), ARRAY[i % 13, i % 7, i], int4range(i, i + 20)
FROM generate_series($n * 1000, $n * 1000 + 799) i;
UPDATE docs SET a = a + 1 WHERE id % 5 = $n % 5;
UPDATE docs SET b = b || 'x', tags = tags || $n WHERE id % 11 = $n % 11;
DELETE FROM docs WHERE id % 17 = $n % 17;
SELECT nextval('rounds');
SQL
		$node->safe_psql('postgres', $n % 2 ? 'VACUUM docs' : 'CHECKPOINT');
		merge_all($node) if $n == int($count / 2);
	}
	$node->safe_psql('postgres', 'SELECT count(*) FROM docs');
	my $moment = reached_lsn($node);
	# What is in memory goes into layers, too.
	$node->safe_psql('postgres', "CREATE TABLE filler AS SELECT repeat(md5(i::text), 60) FROM generate_series(1, 2000) i");
	$node->safe_psql('postgres', 'CREATE SCHEMA holes; CREATE TABLE holes.between AS TABLE filler');
	reached_lsn($node);
	return $moment;
}

# Merges what there is to merge. False when that does not come.
sub merge_all
{
	my ($node) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET strata.compaction = on");
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	my $merged = $node->poll_query_until('postgres', 'SELECT count(*) < 2 FROM strata.layers() WHERE level = 0');
	$node->safe_psql('postgres', 'ALTER SYSTEM SET strata.compaction = off');
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	return $merged;
}

# Every block of every table and index of schema public as it is in the present, in memory where it is there.
sub digest_of_present
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q{
SELECT md5(string_agg(md5(get_raw_page(c.oid::regclass::text, f, b::int)), '' ORDER BY c.oid, f, b))
FROM pg_class c, unnest(ARRAY['main', 'vm']) f, generate_series(0, pg_relation_size(c.oid, f) / 8192 - 1) b
WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace});
}

# Right after a start: the buffers that are taken next lie just before ones that hold pages of the present, so that what
# redo writes behind a page of another moment would hit these. REQUIRES: workload() has run; works once.
sub lay_out_memory
{
	my ($node) = @_;
	$node->safe_psql('postgres', q{
SELECT count(get_raw_page('holes.between', b)), count(get_raw_page('filler', b))
FROM generate_series(0, (SELECT min(pg_relation_size(t)) / 8192 - 1 FROM unnest('{holes.between, filler}'::regclass[]) t)::int) b});
	$node->safe_psql('postgres', 'DROP TABLE holes.between');
	return;
}

# Copies the store of a stopped server, and changes the copy as strata_mutate is told. Returns hashes of the versions
# that differ in it: relation, fork, block, lsn, the same as a number, how.
sub plan_store
{
	my ($node, $name, @what) = @_;
	my $data = $node->data_dir;
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', "$data/pg_strata", "$data.$name");
	my ($out, $error) = run_command([ "$ENV{STRATA_TEST_LIBRARIES}/strata_mutate", "$data.$name", @what ]);
	die "strata_mutate: $error" if $error ne '';
	my @planted;
	for my $line (split /\n/, $out)
	{
		my ($kind, $type, undef, undef, $relation, $fork, $block, $lsn, $how) = split / /, $line;
		my ($high, $low) = map { hex } split /\//, $lsn;
		push @planted, { number => $high * 2**32 + $low, relation => $relation, fork => $fork, block => $block, lsn => $lsn, how => "type $type $how" };
	}
	return @planted;
}

# The server goes on with that copy as its store.
sub use_store
{
	my ($node, $name) = @_;
	my $data = $node->data_dir;
	$node->stop;
	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', "$data/pg_strata");
	PostgreSQL::Test::Utils::system_or_bail('mv', "$data.$name", "$data/pg_strata");
	$node->start;
	wait_for_history($node);
	return;
}

# Rebuilds the page of each version at just the LSN of that version. Sets `slot` in each to the page's digest, undef for
# an error. Sessions go on after errors; a session that ends is followed by another. Returns the errors' text.
sub visit
{
	my ($node, $slot, @versions) = @_;
	my $errors = '';
	my $next = 0;
	while ($next < @versions)
	{
		my $script = join '', map {
			my $one = $versions[$_];
			my $fork = ('main', 'fsm', 'vm', 'init')[ $one->{fork} ];
			"\\echo at $_\nSET strata.travel_lsn = '$one->{lsn}';\n" .
			"SELECT $_, md5(get_raw_page(c.oid::regclass::text, '$fork', $one->{block})) FROM pg_class c WHERE pg_relation_filenode(c.oid) = $one->{relation};\n"
		} $next .. $#versions;
		my ($out, $error) = try_sql($node, $script);
		$errors .= $error;
		my $last;
		for my $line (split /\n/, $out)
		{
			if ($line =~ /^at (\d+)$/) { $last = $1; $versions[$last]->{$slot} = undef; }
			elsif ($line =~ /^(\d+)\|(\w+)$/) { $versions[$1]->{$slot} = $2; }
		}
		die "no session: $error" if !defined $last;
		$next = $last + 1;
	}
	return $errors;
}

# Digests at that moment of all pages of docs and its indexes but those of these versions: one line each.
sub beside
{
	my ($node, $moment, @versions) = @_;
	my $touched = join ',', "(0, 0, 0)", map { "($_->{relation}, $_->{fork}, $_->{block})" } @versions;
	return at_lsn($node, $moment, qq{
SELECT c.relname, f.name, b, md5(get_raw_page(c.oid::regclass::text, f.name, b::int))
FROM pg_class c, (VALUES (0, 'main'), (2, 'vm')) f(n, name), generate_series(0, pg_relation_size(c.oid, f.name) / 8192 - 1) b
WHERE c.relname LIKE 'docs%' AND c.relkind IN ('r', 'i') AND (pg_relation_filenode(c.oid), f.n, b) NOT IN (VALUES $touched)
ORDER BY 1, 2, 3});
}

# How often the server has ended all processes since its log was so long.
sub restarts
{
	my ($node, $offset) = @_;
	my @restarts = slurp_file($node->logfile, $offset) =~ /terminating any other active server processes/g;
	return scalar @restarts;
}

1;
