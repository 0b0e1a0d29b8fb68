import CLinux
import EventLoop
import Primitives

extension Supervisor {
    /// Everything a supervisor has to know, as a text in its environment: nothing else survives when a
    /// process executes its program anew.
    struct Post {
        private static let variable: StaticString = "PGLIDO_SUPERVISOR"
        private static let fieldCount = 7

        let pidFile: ByteString
        let listeners: [Listeners.Listener]
        private let logFile: ByteString
        private let isJSON: Bool
        private let onStandardError: Bool
        /// Empty without syslog.
        private let syslogFacility: ByteString
        private let syslogIdent: ByteString

        init(_ settings: ProcessSettings, _ listeners: [ByteString], onStandardError: Bool) {
            pidFile = settings.pidFile
            self.listeners = listeners.compactMap { Listeners.Listener(word: $0) }
            logFile = settings.logFile
            isJSON = settings.logFormat == .json
            self.onStandardError = onStandardError
            syslogFacility = settings.usesSyslog ? settings.syslogFacility : ""
            syslogIdent = settings.syslogIdent
        }

        /// Of this process, if it was made a supervisor.
        static var mine: Post? { Post(variable: variable, of: linux_process_id()) }

        /// From this variable, which is taken away: programs that we start have nothing to do with it. `nil`
        /// when it is not there, or another process's.
        init?(variable: StaticString, of process: Int32) {
            guard let text = Environment.value(of: variable) else { return nil }
            Environment.set(variable, to: nil)
            let lines = text.bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map {
                ByteString(Array($0))
            }
            guard lines.count >= Self.fieldCount, lines[0] == ByteString("\(process)") else { return nil }
            self.init(lines)
        }

        private init(_ lines: [ByteString]) {
            pidFile = lines[1]
            logFile = lines[2]
            isJSON = lines[3] == "json"
            onStandardError = lines[4] == "loud"
            syslogFacility = lines[5]
            syslogIdent = lines[6]
            listeners = lines.dropFirst(Self.fieldCount).compactMap { Listeners.Listener(word: $0) }
        }

        /// For a process that this one becomes or starts.
        func leave(in variable: StaticString) {
            let lines =
                [
                    ByteString("\(linux_process_id())"), pidFile, logFile, isJSON ? "json" : "text",
                    onStandardError ? "loud" : "quiet", syslogFacility, syslogIdent,
                ] + listeners.map(\.word)
            Environment.set(variable, to: ByteString(Array(lines.map(\.bytes).joined(separator: [0x0A]))))
        }

        /// Makes this process a supervisor. Comes back only when that fails.
        func take() throws(StartFailure) {
            leave(in: Self.variable)
            let error = Int32(truncatingIfNeeded: -linux_become_self(linux_words()))
            throw StartFailure(text: "cannot start the program anew: \(errorText(error).lossyText)")
        }

        /// The log is opened for each line: there are few, and somebody may turn the file over.
        func log(_ level: Severity, _ text: String) {
            var log = Log(onStandardError: onStandardError)
            open(&log)
            log.write(level, text)
        }

        func open(_ log: inout Log) {
            log.format = isJSON ? .json : .text
            if !syslogFacility.isEmpty { log.useSyslog(ident: syslogIdent, facility: syslogFacility) }
            if !logFile.isEmpty { _ = log.openFile(logFile) }
        }
    }
}
