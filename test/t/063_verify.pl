# strata.verify() and pg_strata find a single flipped bit, and nothing in a sound store.
use strict;
use warnings;

use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('verify', 'strata.memtable_size' => "'4MB'");
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION strata;
CREATE ROLE auditor LOGIN;
GRANT USAGE ON SCHEMA strata TO auditor;
CREATE TABLE pages (id int PRIMARY KEY, t text);
SQL

# While WAL is ingested, flushed and merged.
my $loads = $node->background_psql('postgres');
$loads->query_until(qr/begun/, "\\echo begun\n" . "INSERT INTO pages SELECT i, md5(i::text) FROM generate_series(1, 40000) i; UPDATE pages SET t = t || 'x'; DELETE FROM pages;\n" x 3);
for (1 .. 10)
{
	is($node->safe_psql('postgres', q{SELECT string_agg(file || ': ' || problem, '; ') FROM strata.verify() WHERE problem IS NOT NULL}),
		'', 'a store at work is sound');
}
$loads->quit;
ok($node->poll_query_until('postgres', q{SELECT lag_bytes = 0 AND merge_bytes > 0 AND compaction = 'idle' FROM strata.status()}), 'layers were merged meanwhile');
is($node->safe_psql('postgres', q{SELECT problem FROM strata.verify() WHERE problem IS NOT NULL}), '', 'and it is sound afterwards');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT name, level, entries, bytes FROM strata.layers() EXCEPT SELECT file, level, entries, bytes FROM strata.verify()) d}),
	0, 'each layer has a row');
is($node->safe_psql('postgres', q{SELECT level IS NULL AND bytes > 0 FROM strata.verify() WHERE file = 'MANIFEST'}), 't', 'and so has the manifest');
is(at_lsn($node, lsn_in($node), q{SELECT count(*) FROM strata.verify() WHERE problem IS NOT NULL}), 0, 'in a travelling session too');

# Rights.
my ($out, $error) = try_sql($node, 'SELECT count(*) FROM strata.verify()', user => 'auditor');
like($error, qr/42501.*permission denied for function verify/, 'not everybody may');
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION strata.verify() TO auditor');
($out, $error) = try_sql($node, 'SELECT count(*) > 1 FROM strata.verify()', user => 'auditor');
is($out, 't', 'who was granted it may');

# Damage of a running server's store.
my $strata = $node->data_dir . '/pg_strata';
my $layer = $node->safe_psql('postgres', 'SELECT name FROM strata.layers() WHERE NOT image ORDER BY lsn_begin LIMIT 1');

sub flip
{
	my ($path, $at) = @_;
	open my $file, '+<:raw', $path or die "$path: $!";
	seek $file, $at, 0;
	read $file, my $byte, 1;
	seek $file, $at, 0;
	print $file chr(ord($byte) ^ 16);
	close $file or die $!;
	return;
}

my $bytes = -s "$strata/$layer";
for my $at (5, 40, int($bytes / 2), $bytes - 90, $bytes - 3)
{
	flip("$strata/$layer", $at);
	my $rows = $node->safe_psql('postgres', 'SELECT file, problem FROM strata.verify() WHERE problem IS NOT NULL');
	like($rows, qr/^\Q$layer\E\|file "pg_strata\/\Q$layer\E" [^\n]*$/, "a flipped bit at $at of a layer is found, with the file");
	flip("$strata/$layer", $at);
}

# What damage takes away.
my $verify = q{SELECT affected_from, affected_to, affected FROM strata.verify() WHERE problem IS NOT NULL};
my $lsns = $node->safe_psql('postgres', "SELECT lsn_begin, lsn_end FROM strata.layers() WHERE name = '$layer'");
flip("$strata/$layer", $bytes - 90);
is($node->safe_psql('postgres', $verify), "$lsns|", 'without its footer a layer takes away all that it has');
flip("$strata/$layer", $bytes - 90);
# Values stand between blocks of the index, which name what they are of.
my ($from, $to, $affected);
for my $part (1 .. 15)
{
	my $at = int($bytes * $part / 16);
	flip("$strata/$layer", $at);
	($from, $to, $affected) = split /\|/, $node->safe_psql('postgres', $verify);
	flip("$strata/$layer", $at);
	last if ($affected // '') ne '';
}
like($affected, qr{^\{(base/\d+|global)/\d+(,(base/\d+|global)/\d+)*\}$}, "damaged values take relations away: $affected");
cmp_ok(scalar(split /,/, $affected), '<', 20, 'those of one block, of all that there are');
is($node->safe_psql('postgres', "SELECT '$from' >= lsn_begin AND '$from' < '$to' AND '$to' <= lsn_end FROM strata.layers() WHERE name = '$layer'"), 't',
	'within the LSNs of the layer');
append_to_file("$strata/notes.txt", 'x');
is($node->safe_psql('postgres', 'SELECT file, problem FROM strata.verify() WHERE problem IS NOT NULL'), 'notes.txt|the file belongs to no store',
	'and so is a file that should not be there');
unlink "$strata/notes.txt";

# Cancelled between two blocks.
($out, $error) = try_sql($node, "SET statement_timeout = '1ms'; SELECT count(*) FROM strata.verify(), generate_series(1, 100000) i");
like($error, qr/57014/, 'it can be cancelled');

# The tool, on a running server and on a stopped one.
sub pg_strata
{
	my @arguments = @_;
	my ($stdout, $stderr);
	IPC::Run::run([ 'pg_strata', @arguments ], '>', \$stdout, '2>', \$stderr);
	return ($? >> 8, $stdout, $stderr);
}

for my $state ('running', 'stopped')
{
	$node->stop if $state eq 'stopped';
	my ($status, $stdout, $stderr) = pg_strata('verify', $strata);
	is("$status $stderr", '0 ', "pg_strata finds the store of a $state server sound");
	like($stdout, qr/^\Q$layer\E: ok, \d+ entries, $bytes bytes$/m, 'and names each layer');
	($status, $stdout, $stderr) = pg_strata('stat', $node->data_dir);
	is("$status $stderr", '0 ', 'pg_strata stat works');
	like($stdout, qr/^delta \d+ +\d+ +\d+ +\d+ +\d+$/m, 'and shows levels');
	like($stdout, qr/^page +record +\d+ +\d+$/m, 'and types of entries');
}
my ($status, $stdout, $stderr) = pg_strata('dump', '--kind', 'page', '--layer', $layer, '--fork', 'main', $strata);
is($status, 0, 'pg_strata dump works');
like($stdout, qr{^\Q$layer\E\n  page \d+/\d+/\d+ main \d+ at [0-9A-F]+/[0-9A-F]+: }, 'and shows keys and LSNs');
like($stdout, qr{record( \(base\))?, \d+ bytes: Heap info 0x}, 'and what records are');
my ($lsn) = $stdout =~ m{ at ([0-9A-F]+/[0-9A-F]+): };
($status, $stdout, $stderr) = pg_strata('dump', '--values', 'hex', '--from', $lsn, '--to', $lsn, $strata);
cmp_ok(scalar(grep { / at \Q$lsn\E: .* bytes: ([0-9a-f]{2})+$/ } split /\n/, $stdout), '>', 0, 'the values of one LSN in hexadecimal');
is(scalar(grep { / at / && !/ at \Q$lsn\E: / } split /\n/, $stdout), 0, 'and of no other');
($status, $stdout, $stderr) = pg_strata('dump', '--kind', 'commit-log', $strata);
like($stdout, qr/commit log \d+ at .*xid status.*committed \d+/, 'transaction statuses are readable');
unlike($stdout, qr/ page /, 'a filter by kind shows no other');
unlike((pg_strata('dump', '--values', 'none', '--relation', '1259', '--block', '0', $strata))[1], qr{/\d+ main [1-9]}, 'nor does one by block');

my $copy = PostgreSQL::Test::Utils::tempdir() . '/store';
make_path($copy);
copy($_, $copy) or die $! for glob("$strata/*");
flip("$copy/$layer", int($bytes / 3));
($status, $stdout, $stderr) = pg_strata('verify', '--quiet', $copy);
is($status, 1, 'a flipped bit in a copy: exit status 1');
like($stdout, qr/^\Q$layer\E: file ".*" is corrupt at offset \d+: [^\n]*\n$/, 'and what is wrong, where, in one line');
unlink "$copy/$layer";
like((pg_strata('verify', '-q', $copy))[1], qr/^\Q$layer\E: could not open/, 'a layer that is missing is found');
flip("$copy/MANIFEST", 9);
($status, $stdout, $stderr) = pg_strata('stat', $copy);
is($status, 1, 'a damaged manifest: exit status 1');
like($stderr, qr/^pg_strata: error: file ".*MANIFEST" is corrupt/, 'with the file');

# What is no store.
for my $case (
	[ "$strata/MANIFEST", qr/"[^"]*MANIFEST" is not a directory/ ],
	[ "$strata/nowhere", qr/"[^"]*nowhere" is not a directory/ ],
	[ $node->data_dir . '/base', qr/holds no store: it has no MANIFEST/ ])
{
	($status, $stdout, $stderr) = pg_strata('verify', $case->[0]);
	is($status, 2, 'exit status 2');
	like($stderr, qr/^pg_strata: error: .*$case->[1]/, 'and the reason');
}
is((pg_strata('verify'))[0], 2, 'a missing argument: exit status 2');
is((pg_strata('dump', '--kind', 'nonsense', $strata))[0], 2, 'a kind that there is not: exit status 2');
is((pg_strata('dump', '--from', 'nonsense', $strata))[0], 2, 'an LSN that is none: exit status 2');
($status, $stdout, $stderr) = pg_strata('--help');
is($status, 0, '--help');
like($stdout, qr/verify.*dump.*stat/s, 'names the commands');

log_is_clean($node, 'checksum is wrong|is corrupt');
done_testing();
