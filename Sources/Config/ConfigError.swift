public import Primitives

/// Why a file could not be read, in the system's words.
public struct FileProblem: Error, Equatable, Sendable {
    public let reason: String
    /// There is no such file.
    public let isMissing: Bool
    public init(_ reason: String, isMissing: Bool = false) {
        self.reason = reason
        self.isMissing = isMissing
    }
}

/// Reads a whole file. The only way this target gets at files.
public typealias FileReader = (_ path: ByteString) -> Result<ByteString, FileProblem>

/// Names what is in a folder, without the folder's own name.
public typealias FolderLister = (_ path: ByteString) -> Result<[ByteString], FileProblem>

/// One thing that is wrong with a configuration: where, what was found, what belongs there.
public struct ConfigError: Error, Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        case unreadable, syntax, includeTooDeep, includeFailed, tooLarge
        case unknownSection, missingMainSection, valueWithoutSection
        case unknownSetting, badValue, notReloadable
        case brokenAuthFile, nameTooLong, secretTooLong
        case badAccessRule, badIdentLine
    }

    public let kind: Kind
    /// Empty when the value did not come from a file.
    public let file: ByteString
    /// From 1; 0 when the whole file is meant.
    public let line: Int
    /// The setting or the name of the entry; empty when there is none.
    public let setting: ByteString
    /// What stood there. Without secrets.
    public let found: ByteString
    /// What belongs there, or what is wrong: the end of the sentence.
    public let expected: String

    init(
        _ kind: Kind, _ place: IniFile.Place, setting: ByteString = "", found: ByteString = "",
        expected: String = ""
    ) {
        self.kind = kind
        file = place.file
        line = place.line
        self.setting = setting
        self.found = found
        self.expected = expected
    }

    /// The log line: PgBouncer's words first, because people search for them, then ours.
    public var text: String { expected.isEmpty ? opening : opening + ": " + expected }

    private var opening: String {
        let place = file.isEmpty ? "" : line > 0 ? " (\(file.quotable):\(line))" : " (\(file.quotable))"
        let inFile = file.isEmpty ? "" : " in configuration" + place
        return switch kind {
        case .unreadable: "could not load file \"\(file.quotable)\""
        case .syntax: "syntax error" + inFile + ", stopping loading"
        case .includeTooDeep: "include nesting level too deep" + place + ", stopping loading"
        case .includeFailed: "error processing include file" + inFile + ", stopping loading"
        case .tooLarge: "configuration is too large" + place + ", stopping loading"
        case .unknownSection: "invalid section \"\(found.quotable)\"" + inFile
        case .missingMainSection: "load_init_file: main section missing from config file" + place
        case .valueWithoutSection: "load_init_file: value without section: \(setting.quotable)" + place
        case .unknownSetting: "unknown parameter: pgbouncer/\(setting.quotable)" + place
        case .badValue: "invalid value \"\(found.quotable)\" for parameter \(setting.quotable)" + inFile
        case .notReloadable: "parameter \(setting.quotable) cannot be changed now"
        case .brokenAuthFile: "broken auth file" + place
        case .badAccessRule: "could not parse hba config line" + place
        case .badIdentLine: "could not parse ident config line" + place
        case .nameTooLong: "username too long in auth file" + place
        case .secretTooLong: "password too long in auth file" + place
        }
    }
}

/// Everything that is wrong with a configuration; none of it is in force.
public struct ConfigErrors: Error, Equatable, Sendable {
    /// What could not be read as lines first, then what the lines say; never empty.
    public let errors: [ConfigError]
}

/// A line for the log about a configuration that is in force all the same.
public struct ConfigNotice: Equatable, Sendable {
    public enum Level: Equatable, Sendable { case warning, error }
    public let level: Level
    public let text: String

    public init(level: Level, text: String) {
        self.level = level
        self.text = text
    }
}
