# pg_dumpall at a moment is pg_dumpall of what point-in-time recovery leaves there: databases that were dropped, renamed or
# replaced since, in their own encodings and locales, and the database that is just being dropped.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataOracle;
use StrataWorkload;
use Test::More;

my $node = new_observed_node('dumps', workload_conf());
my $icu = $node->safe_psql('postgres', "SELECT count(*) FROM pg_collation WHERE collprovider = 'i'");
ok($icu > 0, 'this PostgreSQL has ICU');
my $oracle = StrataOracle->begin($node);
my @words = ("U&'\\00C4rger'", "U&'zebra'", "U&'Apfel'", "U&'\\00E9t\\00E9'", "U&'zoo'");

sub fill
{
	my ($db) = @_;
	$node->safe_psql($db, "CREATE TABLE words (a text PRIMARY KEY); INSERT INTO words VALUES " . join(', ', map { "($_)" } @words)
		  . "; CREATE TABLE many AS SELECT i AS a, '$db ' || i AS b FROM generate_series(1, 3000) i; CREATE INDEX ON many (b)");
	return;
}

sub point { my ($what) = @_; $oracle->at_lsn(lsn_in($node), $what); return; }

my %databases = (
	german => q{ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kf-upper' LOCALE 'C' STRATEGY file_copy},
	latin => q{ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'},
	builtin => q{ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'});
for my $db (sort keys %databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template0 $databases{$db}");
	$node->safe_psql($db, 'CREATE EXTENSION strata') unless $db eq 'builtin';
	fill($db);
}
my %sorted = map { $_ => $node->safe_psql($_, 'SHOW server_encoding; SELECT string_agg(a, chr(44) ORDER BY a) FROM words') } keys %databases;
my $then = now_in($node);
$oracle->at_time($then, 'before anything is dropped');
$node->safe_psql('postgres', 'DROP DATABASE german');
$node->safe_psql('postgres', 'ALTER DATABASE latin RENAME TO german');
point('latin is german');
$node->safe_psql('german', 'DROP TABLE words');
$node->safe_psql('postgres', q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'sv' LOCALE 'C'});
fill('latin');
point('latin is another');
my $before = lsn_in($node);
my $time = now_in($node);
$node->safe_psql('postgres', 'DROP DATABASE builtin');
$oracle->at_time($time, 'the next commit drops builtin');
$oracle->at_lsn($node->safe_psql('postgres',
		"SELECT end_lsn FROM pg_get_wal_records_info('$before', pg_current_wal_flush_lsn()) WHERE resource_manager = 'Database' AND record_type = 'DROP'"),
	'builtin has no files');
$node->safe_psql('postgres', $_) for ('DROP DATABASE latin', 'DROP DATABASE german');

for my $db (sort keys %databases)
{
	local $ENV{PGOPTIONS} = pgoptions($then);
	is($node->safe_psql($db, 'SHOW server_encoding; SELECT string_agg(a, chr(44) ORDER BY a) FROM words'), $sorted{$db}, "$db sorts in its own locale");
}
$oracle->choose_points(1);
my @differences = $oracle->compare(sub { note($_[0]) });
diag($oracle->summary);
cmp_ok($oracle->{gone}, '>=', 8, 'databases that are gone were compared');
is(join("\n", splice(@differences, 0, 20)), '', 'at every point a travelling session sees what point-in-time recovery leaves');
log_is_clean($node, 'could not find a valid record|pg_get_wal_record_info');
$node->stop;
done_testing();
