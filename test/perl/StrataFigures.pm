# What the oracles counted, in files that scripts/oracle_figures.pl adds up: where ORACLE_FIGURES names a folder, each test
# leaves NAME.figures (key and value) and NAME.records (what was met of each type of record).
package StrataFigures;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(note_figures wal_statistics);

# $records: rows of resource manager, type, records, and for wal_consistency_checking block references, images compared,
# images that recovery applies, redo calls, mismatches.
sub note_figures
{
	my ($name, $figures, $records) = @_;
	return if !$ENV{ORACLE_FIGURES};
	_write("$name.figures", [ seed => $ENV{ORACLE_SEED} // 'none' ], map { [ $_, $figures->{$_} ] } sort keys %$figures);
	_write("$name.records", @$records);
	return;
}

sub _write
{
	my ($name, @rows) = @_;
	open(my $file, '>', "$ENV{ORACLE_FIGURES}/$name") or die "could not write $name: $!";
	print $file map { join("\t", @$_) . "\n" } @rows;
	close($file) or die "could not write $name: $!";
	return;
}

# How many records of each type lie between two LSNs. REQUIRES: pg_walinspect in the database postgres.
sub wal_statistics
{
	my ($node, $from, $to) = @_;
	my $rows = $node->safe_psql('postgres', <<"SQL");
SELECT split_part("resource_manager/record_type", '/', 1), split_part("resource_manager/record_type", '/', 2), count
FROM pg_get_wal_stats('$from', '$to', true) WHERE count > 0
SQL
	return [ map { [ split /\|/ ] } split /\n/, $rows ];
}

1;
