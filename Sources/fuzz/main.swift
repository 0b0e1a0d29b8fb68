import Glibc

exit(FuzzCommand(arguments: Array(CommandLine.arguments.dropFirst())).run())
