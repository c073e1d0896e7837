# What was dropped goes from disk once retention has passed the drop: no layer holds a version of it any more.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use Test::More;

my $node = new_node('dropped', 'strata.memtable_size' => "'4MB'", checkpoint_timeout => '1h');
my $store = $node->data_dir . '/pg_strata';
prepare_churn($node);

# Found again in values as they are, whatever compresses them on disk.
my $mark = 'these bytes stand nowhere else';
my $marked_tables = <<"SQL";
CREATE TABLE marked (id int PRIMARY KEY, t text);
ALTER TABLE marked ALTER t SET STORAGE EXTERNAL;
INSERT INTO marked SELECT i, '$mark' || md5(i::text) || md5(i::text || 'a') FROM generate_series(1, 60000) i;
INSERT INTO marked SELECT -i, '$mark' || repeat(md5(i::text), 300) FROM generate_series(1, 100) i;
CREATE INDEX ON marked (t) WHERE length(t) < 1000;
UPDATE marked SET t = t || 'b' WHERE id % 5 = 0;
SQL
my $files_of_marked = q{
WITH marked AS (SELECT oid, reltoastrelid FROM pg_class WHERE relname = 'marked'),
     toast AS (SELECT oid FROM marked UNION ALL SELECT reltoastrelid FROM marked)
SELECT pg_relation_filenode(oid) FROM toast UNION ALL SELECT pg_relation_filenode(indexrelid) FROM pg_index, toast WHERE indrelid = oid};
$node->safe_psql('postgres', 'CREATE DATABASE lost');
$node->safe_psql($_, $marked_tables) for 'postgres', 'lost';
my $postgres = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'postgres'");
my $lost = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'lost'");
my @files = map { "1663/$postgres/$_" } split /\n/, $node->safe_psql('postgres', $files_of_marked);
is(scalar @files, 5, 'a table has a heap, two indexes, and a TOAST table with its own');

# The lines of the store's dump that match. Layers may be merged away while it is made: then it is not whole, and is made
# again.
sub dumped
{
	my ($pattern, @options) = @_;
	for (1 .. 20)
	{
		my ($out, $error) = run_command([ 'pg_strata', 'dump', @options, $store ]);
		return scalar grep { /$pattern/ } split /\n/, $out if $error eq '';
		die "pg_strata dump: $error" if grep { !/has been merged away meanwhile$/ } split /\n/, $error;
	}
	die 'pg_strata dump: layers are merged all the time';
}

# Whatever holds the bytes, under any key.
sub values_with_mark { return dumped(unpack('H*', $mark), '--values', 'hex'); }

sub history_bytes { return $node->safe_psql('postgres', 'SELECT sum(bytes) FROM strata.layers()'); }

my $marked = lsn_in($node);
do { churn($node, 1) } until $node->safe_psql('postgres', "SELECT max(lsn_end) > '$marked' FROM strata.layers()") eq 't';
my $then = { time => now_in($node), lsn => reached_lsn($node) };
my $holds = "SELECT count(*), md5(string_agg(t, ',' ORDER BY id)) FROM marked";
my $held = $node->safe_psql('postgres', $holds);
cmp_ok(dumped('.', '--values', 'none', '--relation', $_), '>', 0, "layers hold versions of $_") for @files;
cmp_ok(dumped(qr{ 1663/$lost\b}, '--values', 'none'), '>', 1000, 'and of a database');
cmp_ok(values_with_mark(), '>', 1000, 'with the bytes that were written');

# Leaving for the past reads the present's pg_proc, which sets hint bits the first time. That WAL comes before the drops:
# a layer with much of it behind them would be left whole for a later collection.
is(at_lsn($node, $then->{lsn}, $holds), $held, 'a table can be travelled to');

# They go, and so does all history up to there.
$node->safe_psql('postgres', 'DROP TABLE marked');
$node->safe_psql('postgres', 'DROP DATABASE lost');
my $dropped = reached_lsn($node);
# Retention goes by commits.
$node->safe_psql('postgres', 'SELECT pg_current_xact_id()');
is(at_lsn($node, $then->{lsn}, $holds), $held, 'a dropped table can be travelled to');
is(at_lsn($node, $then->{lsn}, "SELECT count(*) FROM pg_database WHERE datname = 'lost'"), 1, 'a dropped database is known');
my $before = history_bytes();
$node->safe_psql('postgres', q{ALTER SYSTEM SET strata.retention_time = '1s'; SELECT pg_reload_conf()});
ok($node->poll_query_until('postgres', "SELECT lsn >= '$dropped' FROM strata.horizon()"), 'the horizon passes the drops');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET strata.retention_time; SELECT pg_reload_conf()');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM strata.layers() WHERE NOT image AND lsn_begin < '$dropped'"), 'history up to there becomes images');
no_file_is_left_over($node);
is(dumped('.', '--values', 'none', '--relation', $_), 0, "no layer holds a version of $_") for @files;
is(dumped(qr{ 1663/$lost\b}, '--values', 'none'), 0, 'nor one of the database');
is(values_with_mark(), 0, 'and the bytes that were written stand nowhere');
my $after = history_bytes();
cmp_ok($after, '<', $before / 2, "history is smaller: $after bytes, $before before");

# Nobody goes there any more, whatever for.
for my $sql ($holds, "SELECT count(*) FROM pg_database WHERE datname = 'lost'", 'SELECT 1')
{
	like(at_error($node, $then->{time}, $sql),
		qr/ERROR:  22023: cannot travel to .*: history does not reach back that far\nDETAIL:  Moments from .* can be reached/s, "no past for $sql");
	like(at_lsn($node, $then->{lsn}, $sql), qr/ERROR:  22023: cannot travel to LSN \S+: history does not reach back that far\nDETAIL:  LSNs from /, 'by LSN neither');
}
like(at($node, now_in($node), $holds), qr/42P01: relation "marked" does not exist/, 'later there is no such table');

# History goes on, with the same names too.
my $later = { lsn => reached_lsn($node), rows => $node->safe_psql('postgres', 'SELECT count(*), sum(n), sum(id) FROM many') };
churn($node, 2);
$node->safe_psql('postgres', 'CREATE DATABASE lost');
is(at_lsn($node, $later->{lsn}, 'SELECT count(*), sum(n), sum(id) FROM many'), $later->{rows}, 'what was not dropped is as it was');
no_mismatch($node);
is($node->safe_psql('postgres', q{SELECT string_agg(file || ': ' || problem, '; ') FROM strata.verify() WHERE problem IS NOT NULL}), '', 'the store is sound');
is($node->safe_psql('postgres', 'SELECT state, last_error, compaction_error FROM strata.status()'), 'running||', 'history runs, with no error');
log_is_clean($node);
$node->stop;
done_testing();
