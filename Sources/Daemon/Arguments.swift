import Primitives

/// The command line, as PgBouncer's.
struct Arguments {
    enum Outcome {
        case run(Arguments)
        /// Say what is wrong with the configuration, and do nothing else.
        case check(Arguments)
        /// Say what the configuration means, and do nothing else.
        case explain(Arguments)
        case showHelp
        case showVersion
        /// Told on standard error; exit status 1.
        case wrong(String)
    }

    var runsInBackground = false
    var isQuiet = false
    var takesOver = false
    var verbosity = 0
    private var checks = false
    private var explains = false
    /// Empty for none.
    var user: ByteString = ""
    var configuration: ByteString = ""

    /// `words` without the program's own name.
    static func parse(_ words: [ByteString]) -> Outcome {
        var arguments = Arguments()
        var files: [ByteString] = []
        var waitsForUser = false
        var optionsAreOver = false
        for word in words {
            if waitsForUser {
                arguments.user = word
                waitsForUser = false
            } else if optionsAreOver || word.bytes.first != 0x2D || word.count == 1 {
                files.append(word)
            } else if word == "--" {
                optionsAreOver = true
            } else {
                let letters =
                    word.bytes.starts(with: [0x2D, 0x2D])
                    ? long(word, &arguments) : Array(word.bytes.dropFirst())
                guard let letters else { return .wrong("unrecognized option '\(word.lossyText)'") }
                for (place, letter) in letters.enumerated() {
                    switch letter {
                    case UInt8(ascii: "d"): arguments.runsInBackground = true
                    case UInt8(ascii: "q"): arguments.isQuiet = true
                    case UInt8(ascii: "R"): arguments.takesOver = true
                    case UInt8(ascii: "v"): arguments.verbosity += 1
                    case UInt8(ascii: "V"): return .showVersion
                    case UInt8(ascii: "h"): return .showHelp
                    case UInt8(ascii: "u"):
                        let rest = Array(letters[(place + 1)...])
                        arguments.user = ByteString(rest)
                        waitsForUser = rest.isEmpty
                    default: return .wrong("invalid option -- '\(ByteString([letter]).lossyText)'")
                    }
                    if letter == UInt8(ascii: "u") { break }
                }
            }
        }
        if waitsForUser { return .wrong("option requires an argument -- 'u'") }
        guard let file = files.first else { return .wrong("no configuration file specified") }
        guard files.count == 1 else { return .wrong("more than one configuration file specified") }
        arguments.configuration = file
        if arguments.checks { return .check(arguments) }
        return arguments.explains ? .explain(arguments) : .run(arguments)
    }

    /// The short form of a long option; nothing when it has been dealt with, `nil` when there is no such
    /// option.
    private static func long(_ word: ByteString, _ arguments: inout Arguments) -> [UInt8]? {
        let userPrefix = Array("--user=".utf8)
        if word.bytes.starts(with: userPrefix) {
            arguments.user = ByteString(Array(word.bytes.dropFirst(userPrefix.count)))
            return []
        }
        switch word {
        case "--check":
            arguments.checks = true
            return []
        case "--explain":
            arguments.explains = true
            return []
        default: break
        }
        return switch word {
        case "--daemon": [UInt8(ascii: "d")]
        case "--quiet": [UInt8(ascii: "q")]
        case "--reboot": [UInt8(ascii: "R")]
        case "--verbose": [UInt8(ascii: "v")]
        case "--version": [UInt8(ascii: "V")]
        case "--help": [UInt8(ascii: "h")]
        case "--user": [UInt8(ascii: "u")]
        default: nil
        }
    }

    static let usage = """
        pglido is a connection pooler for PostgreSQL.

        Usage:
          pglido [OPTION]... CONFIG_FILE

        Options:
          -d, --daemon         run in background (as a daemon)
          -q, --quiet          run quietly
          -R, --reboot         do an online reboot
          -u, --user=USERNAME  assume identity of USERNAME
          -v, --verbose        increase verbosity
          -V, --version        show version, then exit
          -h, --help           show this help, then exit
              --check          say everything that is wrong with CONFIG_FILE, then exit
              --explain        say what is in force for every pool and which line says so, then exit

        """
}
