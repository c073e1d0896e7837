# Tablespaces that are older than history: what lies in them is in the baseline, and stays when they are moved or dropped.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my @folders = map { my $dir = PostgreSQL::Test::Utils::tempdir; chmod 0700, $dir; $dir } 1 .. 3;
my $node = new_node('old', start => 0, strata_enabled => 'off', allow_in_place_tablespaces => 'on');
$node->start;
$node->safe_psql('postgres', $_) for ("CREATE TABLESPACE linked LOCATION '$folders[0]'", "CREATE TABLESPACE home LOCATION '$folders[1]'", "CREATE TABLESPACE inside LOCATION ''",
	'CREATE DATABASE housed TABLESPACE home', 'CREATE DATABASE spread');
my $fill = <<'SQL';
CREATE TABLE near (a int PRIMARY KEY, b text);
INSERT INTO near SELECT i, 'near' FROM generate_series(1, 1500) i;
CREATE TABLE far (a int PRIMARY KEY USING INDEX TABLESPACE inside, b text) TABLESPACE linked;
INSERT INTO far SELECT i, repeat('far', 1000) FROM generate_series(1, 300) i;
ALTER TABLE far ALTER b SET STORAGE external;
UPDATE far SET b = b || 'out of line' WHERE a % 10 = 0;
DELETE FROM near WHERE a % 3 = 0;
VACUUM near, far;
SQL
my @databases = ('postgres', 'housed', 'spread');
for my $db (@databases)
{
	$node->safe_psql($db, $_) for split /;\n/, $fill;
}
# Transaction IDs and OIDs that were used up before.
$node->safe_psql('postgres', 'SELECT lo_unlink(lo_create(0)) FROM generate_series(1, 200)');
$node->append_conf('postgresql.conf', 'strata_enabled = on');
$node->restart;
wait_for_history($node);
$node->safe_psql('postgres', 'CREATE EXTENSION strata');

my @queries = (
	rows => 'SELECT (SELECT count(*) FROM near), (SELECT sum(length(b)) FROM far)',
	'by indexes' => 'SET enable_seqscan = off; SELECT near.b, length(far.b) FROM near JOIN far USING (a) WHERE a = 20',
	sizes => q{SELECT pg_relation_size('near'), pg_relation_size('far'), pg_relation_size('far', 'vm'), pg_relation_size('far_pkey')},
	places => q{SELECT spcname, pg_tablespace_location(oid) FROM pg_tablespace ORDER BY 1},
	database => 'SELECT spcname FROM pg_database d JOIN pg_tablespace s ON s.oid = dattablespace WHERE datname = current_database()');
my @pasts;

sub remember_all
{
	my ($what) = @_;
	push @pasts, [ $what, map { remember($node, $_, @queries) } @databases ];
	return;
}

sub all_hold
{
	my ($suffix) = @_;
	for my $entry (@pasts)
	{
		my ($what, @memories) = @$entry;
		still_holds($_, "in $_->{db}, $what, $suffix") for @memories;
	}
	return;
}
my $lsn = lsn_in($node);
my $xid = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
remember_all('at first');
is(at_lsn($node, $lsn, 'SELECT pg_snapshot_xmax(pg_current_snapshot())'), $xid, 'the next transaction ID is that of the baseline');
for my $db (@databases)
{
	$node->safe_psql($db, "UPDATE far SET b = 'changed' WHERE a < 100; DELETE FROM near; TRUNCATE near; INSERT INTO near VALUES (20, 'one')");
}
remember_all('changed');
all_hold('changed since');

# A tablespace is moved by hand while the server is down.
$node->stop;
my ($link) = grep { readlink($_) eq $folders[0] } grep { -l $_ } glob($node->data_dir . '/pg_tblspc/*');
system_or_bail('mv', glob("$folders[0]/PG_*"), $folders[2]);
unlink($link) && symlink($folders[2], $link) or die "could not move the link: $!";
$node->start;
wait_for_history($node);
is($node->safe_psql('postgres', q{SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'linked'}), $folders[2], 'a tablespace is elsewhere');
all_hold('moved since');
$node->safe_psql('postgres', "UPDATE far SET b = 'moved'");
is(at($node, now_in($node), 'SELECT min(b), max(b) FROM far'), 'moved|moved', 'what is written there is in history as ever');
no_mismatch($node);

# And all of it goes.
$node->safe_psql('postgres', 'ALTER DATABASE housed SET TABLESPACE pg_default');
$node->safe_psql($_, 'ALTER TABLE far SET TABLESPACE pg_default; ALTER INDEX far_pkey SET TABLESPACE pg_default') for @databases;
$node->safe_psql('postgres', "DROP TABLESPACE $_") for qw(linked home inside);
remember_all('dropped');
$node->safe_psql($_, 'DROP TABLE near, far') for @databases;
$node->restart;
all_hold('dropped since');

no_mismatch($node);
log_is_clean($node);
$node->stop;
done_testing();
