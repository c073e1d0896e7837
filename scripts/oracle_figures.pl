#!/usr/bin/env perl
# Adds up what the oracles counted.
#
# usage: scripts/oracle_figures.pl FOLDER            the sums, in one line
#        scripts/oracle_figures.pl --write FOLDER    also puts them and the table into doc/redo-coverage.md
#
# FOLDER holds what test/perl/StrataFigures.pm wrote; test/oracle/record_types.tsv says what each type of record changes
# and why it may be missing. Fails where a type of record is missing in the run without a reason, or in that file.
use strict;
use warnings;

use File::Basename qw(basename dirname);

my $write = @ARGV && $ARGV[0] eq '--write' && shift;
my ($folder) = @ARGV;
die "usage: oracle_figures.pl [--write] FOLDER\n" if @ARGV != 1;
my $root = dirname($0) . '/..';

sub rows_of
{
	my ($file) = @_;
	open(my $in, '<', $file) or die "could not read $file: $!\n";
	my @rows = map { chomp; [ split /\t/, $_, -1 ] } grep { !/^(#|$)/ } <$in>;
	close($in);
	return @rows;
}

sub thousands
{
	my ($number) = @_;
	1 while $number =~ s/^(\d+)(\d{3})/$1 $2/;
	return $number;
}

my (%sum, %met, %seeds);
my @figures = glob "$folder/*.figures";
die "no figures in $folder\n" if !@figures;
for my $file (@figures)
{
	for my $row (rows_of($file))
	{
		my ($key, $value) = @$row;
		if ($key eq 'seed') { $seeds{$value} = 1 }
		else { $sum{$key} += $value }
	}
	my ($workload, $oracle) = split /[.]/, basename($file);
	for my $row (rows_of($file =~ s/figures$/records/r))
	{
		my ($manager, $type, @counts) = @$row;
		my $entry = $met{$manager}{$type} //= { pitr => 0, records => 0, compared => 0, applied => 0, workloads => {} };
		$entry->{pitr} += $counts[0] if $oracle eq 'pitr';
		if ($oracle eq 'wal')
		{
			$entry->{records} += $counts[0];
			$entry->{compared} += $counts[2];
			$entry->{applied} += $counts[3];
		}
		$entry->{workloads}{$workload} = 1 if $counts[0];
	}
}
my $line = sprintf(
	'oracles: %d points in time, %d databases, %d relations, %d pages, %d transaction statuses, %d multixacts, %d bytes of dumps; '
	  . '%d images that only wal_consistency_checking reads and %d that recovery applies, %d redo calls; %d differences; seed ' . join(', ', sort keys %seeds),
	map { $_ // 0 } @sum{qw(points databases relations pages xids multixacts dumped compared applied redo_calls differences)});

my (%known, @empty);
my @types = rows_of("$root/test/oracle/record_types.tsv");
for my $row (@types)
{
	my ($manager, $type, $kept, $reason) = @$row;
	$known{$manager}{$type} = 1;
	my $entry = $met{$manager}{$type} //= { pitr => 0, records => 0, compared => 0, applied => 0, workloads => {} };
	my $verified = $kept eq 'pages' ? $entry->{compared} + $entry->{applied} : $entry->{pitr};
	push @empty, "$manager $type" if !$verified && !length $reason;
}
my @unknown = map { my $manager = $_; map { "$manager $_" } grep { !$known{$manager}{$_} } sort keys %{ $met{$manager} } } sort keys %met;

print "$line\n";
if ($write)
{
	my @lines = ('| resource manager | record | keeps | replayed by PITR | images compared | images applied | workloads | |',
		'|---|---|---|--:|--:|--:|---|---|');
	for my $row (@types)
	{
		my ($manager, $type, $kept, $reason) = @$row;
		my $entry = $met{$manager}{$type};
		push @lines, '| ' . join(' | ', $manager, "`$type`", $kept, map({ thousands($_) } @$entry{qw(pitr compared applied)}),
			join(', ', sort keys %{ $entry->{workloads} }), $reason // '') . ' |';
	}
	my $document = "$root/doc/redo-coverage.md";
	open(my $in, '<', $document) or die "could not read $document: $!\n";
	my $text = do { local $/; <$in> };
	close($in);
	for my $part ([ sums => "    $line" ], [ table => join("\n", @lines) ])
	{
		my ($name, $new) = @$part;
		$text =~ s/(<!-- $name -->\n).*?(<!-- end of $name -->\n)/$1\n$new\n\n$2/s or die "$document has no place for $name\n";
	}
	open(my $out, '>', $document) or die "could not write $document: $!\n";
	print $out $text;
	close($out) or die "could not write $document: $!\n";
}
warn "types of records that were not verified, without a reason: " . join(', ', @empty) . "\n" if @empty;
warn "types of records that test/oracle/record_types.tsv does not know: " . join(', ', @unknown) . "\n" if @unknown;
exit(@empty || @unknown || $sum{differences} ? 1 : 0);
