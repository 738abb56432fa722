# Runs a program inside a sandbox that bubblewrap made, as its user, with no capability and the same system call filter.
# nsenter(1) could enter it, but of what Debian 12 has nothing can load a compiled filter.
#
# perl enter-sandbox.pl SETNS SETGROUPS SETRESGID SETRESUID PRCTL PID START UID FILTER DIRECTORY PROGRAM [ARGUMENT]...
#
# The first five are the numbers of these system calls. START is when the first process of the sandbox, PID, was started;
# UID is its user as the host sees it; FILTER is a file, or empty.
use strict;
use warnings;

use constant { PR_SET_PDEATHSIG => 1, PR_SET_SECCOMP => 22, PR_CAPBSET_DROP => 24, PR_SET_NO_NEW_PRIVS => 38 };
# The same on every architecture.
use constant { CLOSE_RANGE => 436, CLOSE_RANGE_CLOEXEC => 4 };
use constant { SECCOMP_MODE_FILTER => 2, SIGKILL => 9 };

my ($setns, $setgroups, $setresgid, $setresuid, $prctl, $pid, $start, $uid, $filter_file, $directory, @argv) = @ARGV;
$_ += 0 for $setns, $setgroups, $setresgid, $setresuid, $prctl, $uid;

# As runc says it, which is how whoever asked tells our failure from the program's own.
sub fail { print STDERR "ERRO[0000] exec failed: $_[0]\n"; exit 255 }

my $filter = '';
if ($filter_file ne '') {
    open my $file, '<:raw', $filter_file or fail("$filter_file: $!");
    local $/;
    $filter = <$file>;
}
my %namespace;
for my $kind ('cgroup', 'ipc', 'uts', 'net', 'pid', 'mnt', 'user') {
    open $namespace{$kind}, '<', "/proc/$pid/ns/$kind" or fail('the container does not exist');
}
# Only now is it known that these are the namespaces of that process, and not of a later one with its pid.
open my $stat, '<', "/proc/$pid/stat" or fail('the container does not exist');
my $line = <$stat>;
$line =~ s/.*\)//s;
(split ' ', $line)[19] eq $start or fail('the container does not exist');

for my $kind ('cgroup', 'ipc', 'uts', 'net', 'pid', 'mnt') {
    syscall($setns, fileno $namespace{$kind}, 0) == 0 or fail("$kind namespace: $!");
}
syscall($setgroups, 0, 0) == 0 or fail("setgroups: $!");
syscall($setresgid, $uid, $uid, $uid) == 0 or fail("setresgid: $!");
syscall($setresuid, $uid, $uid, $uid) == 0 or fail("setresuid: $!");
# The user who made it may enter it.
syscall($setns, fileno $namespace{user}, 0) == 0 or fail("user namespace: $!");
close $_ for values %namespace;
chdir $directory or fail("$directory: $!");

# A process namespace holds for children only. The child leads a group of its own, which is how it is ended.
my $child = fork() // fail("fork: $!");
if ($child == 0) {
    setpgrp(0, 0);
    syscall($prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for my $capability (0 .. 63) { last if syscall($prctl, PR_CAPBSET_DROP, $capability, 0, 0, 0) != 0 }
    syscall($prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or fail("no_new_privs: $!");
    # Whatever the orchestrator left open is not for the session.
    syscall(CLOSE_RANGE, 3, 0xffff_ffff, CLOSE_RANGE_CLOEXEC) == 0 or fail("close_range: $!");
    if ($filter ne '') {
        my $program = pack 'S x6 P', length($filter) / 8, $filter;
        syscall($prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, $program, 0, 0) == 0 or fail("seccomp: $!");
    }
    no warnings 'exec';
    exec { $argv[0] } @argv or fail("$argv[0]: $!");
}
# It is the child that is told to end; this one only hands on how it did.
$SIG{$_} = 'IGNORE' for 'INT', 'TERM', 'HUP', 'QUIT';
close STDIN;
close STDOUT;
waitpid $child, 0;
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
