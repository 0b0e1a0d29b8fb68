import Glibc
import Simulator

exit(Simulate(arguments: Array(CommandLine.arguments.dropFirst())).run())
