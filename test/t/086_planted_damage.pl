# Versions that are wrong behind right checksums, as a defect of strata's would leave them: no server ends, no page of
# the present changes, and pages that do not need them are right.
#
# MUTATION_ROUNDS (1) times 100 versions are changed at random, from MUTATION_SEED (1) on.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Strata;
use StrataMutations;
use Test::More;

my $rounds = $ENV{MUTATION_ROUNDS} // 1;
my $seed = $ENV{MUTATION_SEED} // 1;
note("MUTATION_SEED=$seed MUTATION_ROUNDS=$rounds");

my $node = new_mutable_node('planted');
my $moment = workload($node, 4);
my ($bloom, $docs) = map { $node->safe_psql('postgres', "SELECT pg_relation_filenode('$_')") } 'docs_bloom', 'docs';
my $last = $node->safe_psql('postgres', q{SELECT max(pg_relation_filenode(oid)) FROM pg_class WHERE relname LIKE 'docs%'});
my $log = -s $node->logfile;

my %seen;
my @random;
$node->stop;
# Of each page the oldest one: what the newest one made is the page of the present, and is read there.
my @aimed = grep { !$seen{"$_->{relation} $_->{block}"}++ }
  sort { $a->{number} <=> $b->{number} } plan_store($node, 'aimed', 'aimed', $bloom, $docs);
for my $round (0 .. $rounds - 1)
{
	push @random, [ plan_store($node, "random$round", 'random', $seed + $round, 130, $last) ];
}
$node->start;
wait_for_history($node);
# Pages are read from disk now, with their checksums.
my $present = digest_of_present($node);

# What is right, from the store without them.
visit($node, 'right', @aimed, map { @$_ } @random);
my $right_beside = beside($node, $moment, @aimed);
my @right_beside = map { beside($node, $moment, @$_) } @random;
is(scalar(grep { /ERROR|FATAL/ } $right_beside, @right_beside), 0, 'all pages can be read without them');
my @generic = grep { $_->{relation} == $bloom && defined $_->{right} } @aimed;
my @updates = grep { $_->{relation} == $docs && defined $_->{right} } @aimed;

sub answers
{
	my (@versions) = @_;
	my %sums = (error => 0, right => 0, other => 0);
	for my $one (@versions)
	{
		my $answer = !defined $one->{answer} ? 'error' : $one->{answer} eq $one->{right} ? 'right' : 'other';
		$sums{$answer}++;
		note("$answer: $one->{relation} $one->{fork} $one->{block} at $one->{lsn}: $one->{how}") if $answer eq 'other';
	}
	return \%sums;
}

# A page of the present that redo writes to is in memory, where the digest looks for it.
sub present_is_unharmed
{
	my ($when) = @_;
	is(digest_of_present($node), $present, "$when: no byte of the present has changed");
	is(restarts($node, $log), 0, "$when: the server has not restarted");
	return;
}

# The offset of a generic record's fragment is behind the page, where another buffer would begin, and the prefix of an
# update is longer than any tuple.
use_store($node, 'aimed');
lay_out_memory($node);
present_is_unharmed('before');
cmp_ok(scalar @generic, '>', 5, 'pages of a bloom index need wrong records: ' . @generic);
my $errors = visit($node, 'answer', @generic);
is_deeply(answers(@generic), { error => scalar @generic, right => 0, other => 0 }, 'each of these pages is an error');
like($errors, qr/could not rebuild block \d+ of relation base\/\d+\/$bloom at [0-9A-F\/]+: generic WAL record changes \d+ bytes at offset 16184/,
	'that says of which page, and why');
unlike($errors, qr/FATAL/, 'and ends no session');
present_is_unharmed('generic records');
cmp_ok(scalar @updates, '>', 50, 'pages of a table need wrong updates: ' . @updates);
$errors = visit($node, 'answer', @updates);
is_deeply(answers(@updates), { error => scalar @updates, right => 0, other => 0 }, 'each of these pages is an error');
like($errors, qr/could not rebuild block \d+ of relation base\/\d+\/$docs at [0-9A-F\/]+: WAL record makes a tuple with 6[56]\d{3} bytes of data/,
	'that says of which page, and why');
unlike($errors, qr/FATAL/, 'and ends no session');
is(beside($node, $moment, @aimed), $right_beside, 'pages that need none of them are right');
present_is_unharmed('updates');

# Any versions of any pages. Another row in a right record cannot be told from the row that was there: such a page
# differs, and no other.
my %sums;
for my $round (0 .. $rounds - 1)
{
	my @planted = @{ $random[$round] };
	my @needed = grep { defined $_->{right} } @planted;
	use_store($node, "random$round");
	visit($node, 'answer', @needed);
	my $answers = answers(@needed);
	$sums{$_} += $answers->{$_} for keys %$answers;
	my $name = 'seed ' . ($seed + $round);
	cmp_ok(scalar @needed, '>=', 100, "$name: versions are wrong: " . @needed);
	cmp_ok($answers->{error}, '>', 0, "$name: some cannot be applied: $answers->{error}");
	present_is_unharmed($name);
	cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM strata.layers() WHERE level = 0'), '>', 1, "$name: there is something to merge");
	ok(merge_all($node), "$name: merges go on around them");
	is(state_of($node, 'compaction_error'), '', "$name: without an error");
	visit($node, 'answer', @needed);
	is(beside($node, $moment, @planted), $right_beside[$round], "$name: pages that need none of them are right");
	present_is_unharmed("$name, merged");
}
note("random: " . join(', ', map { "$_ $sums{$_}" } sort keys %sums));
$node->stop;
done_testing();
