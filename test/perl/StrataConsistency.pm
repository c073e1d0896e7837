# The oracle of wal_consistency_checking: every page image that PostgreSQL put into WAL, against the page that history
# rebuilds at that LSN.
package StrataConsistency;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata qw(lsn_in);
use StrataFigures;
use StrataOracle;
use StrataWorkload qw(workload_conf);
use Test::More;

our @EXPORT = qw(check_wal wal_test);

# One test: a workload with images of every page in WAL, each compared with the page rebuilt at its LSN.
#   full_page_writes   'off' (the default): no page's history starts anew at a checkpoint, and no image takes the place of
#                      a redo routine. The cost grows with the square of the changes to a page: long workloads want 'on'
sub wal_test
{
	my ($name, $workload, %option) = @_;
	my $seed = oracle_seed();
	my $node = new_observed_node("${name}_wal", workload_conf(), %{ $option{conf} // {} });
	$option{prepare}->($node) if $option{prepare};
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_") for ("wal_consistency_checking = 'all'", "wal_compression = 'lz4'",
		'full_page_writes = ' . ($option{full_page_writes} // 'off'));
	$node->reload;
	my $begin = lsn_in($node);
	$workload->($node, undef, $seed);
	my ($summary, $mismatches, $figures, $rows) = check_wal($node, $begin, sub { note($_[0]) });
	diag("$name, seed $seed: $summary");
	note_figures("$name.wal", $figures, $rows);
	is($mismatches, '', "$name: every image that PostgreSQL put into WAL equals the page rebuilt at that LSN");
	$node->stop;
	return;
}

# The oracle of wal_consistency_checking over the WAL from $begin on: its sums, what differs ('' where nothing does), the
# sums as figures, and its rows. Prints a line for each type of record that was met through $say.
sub check_wal
{
	my ($node, $begin, $say) = @_;
	my $rows = $node->safe_psql('postgres', <<"SQL");
SELECT resource_manager, record_type, records, blocks, compared, applied, redo_calls, mismatches, first_mismatch
FROM strata.check_wal('$begin', pg_current_wal_flush_lsn()) ORDER BY 1, 2
SQL
	my %sum = map { $_ => 0 } qw(records compared applied redo_calls differences);
	my ($types, @mismatches, @rows) = (0);
	for my $row (split /\n/, $rows)
	{
		my @column = split /\|/, $row, 9;
		push @rows, [ @column[0 .. 7] ];
		next if !$column[2];
		$say->(sprintf '%-17s %-24s %8d records, %8d blocks, %8d compared, %7d applied, %9d redo calls, %d mismatches', @column[0 .. 7]);
		$types += $column[4] > 0;
		$sum{records} += $column[2];
		$sum{compared} += $column[4];
		$sum{applied} += $column[5];
		$sum{redo_calls} += $column[6];
		$sum{differences} += $column[7];
		push @mismatches, "$column[0] $column[1]: $column[7] mismatches, $column[8]" if $column[7];
	}
	my $summary = "$sum{records} records, $sum{compared} images of $types types of record compared and $sum{applied} that recovery applies, "
	  . "$sum{redo_calls} redo calls: " . @mismatches . ' types with differences';
	return ($summary, join("\n", @mismatches), \%sum, \@rows);
}

1;
