# The oracles find what they are there for: each of one wrong row, one missing version, one wrong transaction status and
# one malformed version, planted behind right checksums, is one mismatch of just the oracles that look at it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataConsistency;
use StrataMutations;
use StrataOracle;
use Test::More;

my $node = new_observed_node('controls', 'strata.compaction' => 'off', 'strata.memtable_size' => "'4MB'",
	max_wal_size => "'1GB'", wal_keep_size => "'1GB'");
my $oracle = StrataOracle->begin($node);
my $begin = lsn_in($node);
# No checkpoint comes between, so that each page has one version for each of its rows, and an image of each in WAL to be
# compared. Nothing reads the table, so that no hint bits bring images.
$node->safe_psql('postgres', <<'SQL');
SET wal_consistency_checking = 'heap';
CREATE TABLE rows (id int, t text);
INSERT INTO rows SELECT i, repeat('x', 200) FROM generate_series(1, 400) i;
SQL
my $xid = $node->safe_psql('postgres', 'BEGIN; INSERT INTO rows VALUES (0, NULL); SELECT pg_current_xact_id(); COMMIT');
my $rows = $node->safe_psql('postgres', "SELECT pg_relation_filenode('rows')");
# Brings what is in memory into layers.
$node->safe_psql('postgres', "CREATE TABLE filler AS SELECT repeat(md5(i::text), 8) FROM generate_series(1, 30000) i");
$oracle->choose_points(1);
reached_lsn($node);

# The fault, what is planted, and what finds it: mismatches of check_pages(), images of check_wal(), files of verify(), and
# patterns of what the oracle of point-in-time recovery says, each of one line.
my $relation = qr/relations in postgres: recovered \d+\|[^,]*, past \d+\|[^,]*$/;
my $dump = qr/pg_dumpall: /;
my @faults = (
	{ name => 'nothing', what => [ 'same', 0, 0 ], pages => 0, images => 0, files => 0, recovery => [] },
	{ name => 'a wrong row', what => [ 'row', $rows, 3 ], pages => 1, images => 1, files => 0,
		recovery => [ $relation, qr/page: database postgres relation \d+ fork main block 3 byte /, $dump ] },
	{ name => 'a missing version', what => [ 'omit', $rows, 5 ], pages => 1, images => 1, files => 0,
		recovery => [ $relation, qr/page: database postgres relation \d+ fork main block 5 byte /, $dump ] },
	{ name => 'a wrong status', what => [ 'abort', $xid, 0 ], pages => 0, images => 0, files => 0,
		recovery => [ qr/commit log in postgres: recovered '[^|]*\|(\d+)\|0\|.*', past '[^|]*\|\d+\|1\|/, $dump ] },
	{ name => 'a malformed version', what => [ 'type', $rows, 7 ], files => 1 });

$node->stop;
for my $i (0 .. $#faults)
{
	my $fault = $faults[$i];
	my @planted = plan_store($node, "store$i", @{ $fault->{what} });
	is(scalar @planted, $i == 0 ? 0 : 1, "$fault->{name}: is in one version");
}
$node->start;
wait_for_history($node);

for my $i (0 .. $#faults)
{
	my $fault = $faults[$i];
	my $name = $fault->{name};
	use_store($node, "store$i");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM strata.verify() WHERE problem IS NOT NULL'), $fault->{files},
		"$name: verify() counts $fault->{files}");
	next if !$fault->{recovery};
	my $block = $fault->{what}[2];
	is($node->safe_psql('postgres', "SELECT mismatches, first_mismatch ~ '\\m$block\\M' FROM strata.check_pages('rows')"),
		$fault->{pages} ? '1|t' : '0|', "$name: check_pages() counts $fault->{pages}");
	my (undef, $images, $sums) = check_wal($node, $begin, sub { note($_[0]) });
	is($sums->{differences}, $fault->{images}, "$name: check_wal() counts $fault->{images}") or diag($images);
	my @differences = $oracle->compare(sub { note($_[0]) });
	my @expected = @{ $fault->{recovery} };
	is(scalar @differences, scalar @expected, "$name: recovery differs in " . @expected . ' ways') or diag(join "\n", @differences);
	like($differences[$_] // '', $expected[$_], "$name: number $_ is as planted") for 0 .. $#expected;
}

$node->stop;
done_testing();
