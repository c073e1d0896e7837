# What a database looks like to pg_dump, so that two looks can be compared.
package StrataUndrop;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(dump_of differences same_dump);

# The entries of a dump with their rows, as a hash: "name; type; schema; owner" to text. Positions of sequences are left out: they may be
# ahead afterwards. Rows are sorted: they go where there is room. Options of pg_dump may follow.
sub dump_of
{
	my ($node, $db, @options) = @_;
	my ($out, $error);
	my @command = ('pg_dump', '--no-sync', '-d', $node->connstr($db), @options);
	IPC::Run::run(\@command, '>', \$out, '2>', \$error) or die "pg_dump: $error";
	my %entries;
	my $name = '';
	for my $line (split /\n/, $out)
	{
		next if $line =~ /^\\(un)?restrict |^SELECT pg_catalog\.setval\(|^SET default_|^--$|^$/;
		$name = $1 and next if $line =~ /^-- (?:Data for )?(Name: .*)/;
		$entries{$name} .= "$line\n";
	}
	delete $entries{$_} for grep { /Type: SEQUENCE SET/ } keys %entries;
	for (grep { /Type: TABLE DATA/ } keys %entries)
	{
		my ($copy, @rows) = split /^/, $entries{$_};
		$entries{$_} = join '', $copy, sort @rows;
	}
	return \%entries;
}

# What differs between two of them, as lines.
sub differences
{
	my ($before, $after) = @_;
	my @found;
	for my $name (sort keys %{ { %$before, %$after } })
	{
		my ($old, $new) = map { $_->{$name} // "nothing\n" } $before, $after;
		push @found, "$name\n- " . join("\n- ", split /\n/, $old) . "\n+ " . join("\n+ ", split /\n/, $new) . "\n" if $old ne $new;
	}
	return join '', @found;
}

sub same_dump
{
	my ($before, $after, $name) = @_;
	is(differences($before, $after), '', $name);
	return;
}

1;
