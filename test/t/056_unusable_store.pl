# Whatever has become of the directory of history, the server starts, the present works, and travel says what is wrong.
use strict;
use warnings;

use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Strata;
use StrataFaults;
use Test::More;

my $node = new_faulty_node('unusable', log_statement => 'none');
$node->safe_psql('postgres', 'CREATE EXTENSION strata; CREATE TABLE t AS SELECT generate_series(1, 1000) AS a');
my $time = now_in($node);
$node->safe_psql('postgres', 'DELETE FROM t');
my $store = $node->data_dir . '/pg_strata';
my $manifest = "$store/MANIFEST";

sub rewrite_manifest
{
	my ($change) = @_;
	local $_ = slurp_file($manifest);
	$change->();
	open(my $file, '>:raw', $manifest) or die "$manifest: $!";
	print $file $_;
	close $file;
	return;
}

# What is done to the store of a stopped server; what is said, in strata.status(), by travel, and in the log; whether it
# is transient.
my @cases = (
	{
		what => 'a directory without permissions',
		do => sub { chmod 0000, $store or die "$store: $!" },
		undo => sub { chmod 0700, $store or die "$store: $!" },
		message => qr/could not (access "pg_strata\/MANIFEST"|open "pg_strata\/OWNER"): Permission denied/,
		passes => 1 },
	{
		what => 'a manifest without permissions',
		do => sub { chmod 0000, $manifest or die "$manifest: $!" },
		undo => sub { chmod 0600, $manifest or die "$manifest: $!" },
		message => qr/could not open "pg_strata\/MANIFEST": Permission denied/,
		passes => 1 },
	{
		what => 'a disk that cannot say whether there is a manifest',
		do => sub { fail_io('EIO', 'access', 'pg_strata/MANIFEST') },
		undo => sub { heal_io() },
		message => qr/could not access "pg_strata\/MANIFEST": Input\/output error/,
		passes => 1 },
	{
		what => 'a disk that cannot read the manifest',
		do => sub { fail_io('EIO', 'read', 'pg_strata/MANIFEST') },
		undo => sub { heal_io() },
		message => qr/could not read "pg_strata\/MANIFEST": Input\/output error/,
		passes => 1 },
	{
		what => 'a manifest that is none',
		do => sub { rewrite_manifest(sub { $_ = 'this is no manifest' x 10 }) },
		message => qr/pg_strata\/MANIFEST/ },
	{
		what => 'an empty manifest',
		do => sub { rewrite_manifest(sub { $_ = '' }) },
		message => qr/pg_strata\/MANIFEST/ },
	{
		what => 'a manifest of a later version',
		do => sub { rewrite_manifest(sub { substr($_, 8, 4) = pack('L<', 99) }) },
		message => qr/pg_strata\/MANIFEST/ },
	{
		what => 'a manifest with a byte changed',
		do => sub { rewrite_manifest(sub { substr($_, 40, 1) ^= "\x40" }) },
		message => qr/pg_strata\/MANIFEST/ },
	{
		what => 'a manifest that is gone while its layers are there',
		do => sub { unlink $manifest or die "$manifest: $!" },
		message => qr/found the layer "pg_strata\/.*", but no manifest/ },
	{
		what => 'a file in the place of the directory',
		do => sub { rename $store, "$store.dir" or die; append_to_file($store, '') },
		undo => sub { unlink $store; rename "$store.dir", $store or die },
		message => qr/pg_strata/ });

for my $case (@cases)
{
	my $what = $case->{what};
	$node->stop;
	my $kept = PostgreSQL::Test::Utils::tempdir . '/kept';
	PostgreSQL::Test::RecursiveCopy::copypath($store, $kept);
	$case->{do}->();
	my $log = -s $node->logfile;
	start_faulty($node);
	ok($node->wait_for_log(qr/WARNING:  strata: history (is held up|has stopped): .*$case->{message}/, $log), "$what: the log says so");
	is($node->safe_psql('postgres', 'INSERT INTO t VALUES (1); SELECT count(*) > 0 FROM t'), 't', "$what: the server runs and the present works");
	like(state_of($node, 'last_error'), $case->{message}, "$what: strata.status() says so");
	isnt(state_of($node, 'hint'), '', "$what: with a hint");
	my ($out, $error) = try_sql($node, "SET strata.travel_time = '$time'; SELECT count(*) FROM t", stop => 1);
	like($error, qr/ERROR:  55000: (history has not begun yet|there is no history to travel in)\n.*DETAIL:  .*$case->{message}.*HINT:  /s, "$what: travel says so");
	is($out, '', "$what: and shows nothing");
	is($node->safe_psql('postgres', 'INSERT INTO t VALUES (2); SELECT count(*) > 1 FROM t'), 't', "$what: the present goes on");

	if ($case->{undo})
	{
		$case->{undo}->();
		$node->reload if !$case->{passes};
	}
	else
	{
		$node->stop;
		PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', $store);
		PostgreSQL::Test::RecursiveCopy::copypath($kept, $store);
		start_faulty($node);
	}
	wait_for_history($node);
	is(at($node, $time, 'SELECT count(*) FROM t'), 1000, "$what: with the store as it was, history is as it was");
	is(state_of($node, 'state, last_error'), 'running|', "$what: and goes on");
}

# Under a running server.
$node->safe_psql('postgres', 'CHECKPOINT');
rename $store, "$store.away" or die;
is($node->safe_psql('postgres', 'INSERT INTO t VALUES (3); SELECT count(*) > 2 FROM t'), 't', 'with the directory gone under a running server the present works');
my ($out, $error) = try_sql($node, "SET strata.travel_time = '$time'; SELECT count(*) FROM t", stop => 1);
like($error, qr/ERROR:  \w{5}: could not open "pg_strata\//, 'travel says so');
is($out, '', 'and shows nothing');
rename "$store.away", $store or die;
is(at($node, $time, 'SELECT count(*) FROM t'), 1000, 'with the directory back, history is as it was');
no_mismatch($node, 'every page rebuilt from history equals the present');

# A directory that was taken from another cluster.
my $other = new_node('other_cluster', init => [ no_data_checksums => 1 ], log_statement => 'none');
$other->stop;
$node->stop;
rename $store, "$store.mine" or die;
PostgreSQL::Test::RecursiveCopy::copypath($other->data_dir . '/pg_strata', $store);
start_faulty($node);
wait_for_history($node);
like(state_of($node, 'given_up'), qr/^pg_strata holds the history of another cluster: its system identifier is \d+, this cluster's is \d+$/,
	'the history of another cluster is given up');
like(at_error($node, $time, 'SELECT count(*) FROM t'), qr/ERROR:  22023: .*history does not reach back that far/, 'a moment of before is refused');
is(at($node, now_in($node), 'SELECT count(*) FROM t'), $node->safe_psql('postgres', 'SELECT count(*) FROM t'), 'a new history runs');
no_mismatch($node, 'and has every page');
log_is_clean($node, 'XX001|XX002');
$node->stop;
done_testing();
