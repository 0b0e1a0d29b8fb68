import Config
import Primitives

/// Everything that decides a run, written out: options, faults and scripts. Made from a seed, or read from a
/// file.
package struct Scenario {
    /// A named number; what the options of a run are made of, so that files and shrinking need no code per
    /// option.
    package struct Option: Equatable {
        package var name: String
        package var value: Int
    }

    struct ClientScript {
        /// Names the client in tokens; stays the same when others are dropped.
        var number: Int
        /// Microseconds after the start.
        var startsAt: Int
        /// What it asks for in its StartupMessage besides user and database.
        var wishes: [(String, String)] = []
        var database = "one"
        var user = "anna"
        var login = Login.plain
        var steps: [Step] = []
        /// Writes on, as long as somebody wants more; `nil` for a script that is written to its end.
        var maker: ScriptMaker?

        /// Whether there is a step at `place`; writes on until there is one. `isOver`: come to an end.
        mutating func reaches(_ place: Int, isOver: Bool) -> Bool {
            while place >= steps.count, maker != nil {
                steps += maker?.next(isLast: isOver) ?? []
                if isOver { maker = nil }
            }
            return place < steps.count
        }
    }

    /// How a client begins.
    enum Login: String, CaseIterable {
        case plain
        /// Asks for encryption first; GSS and TLS.
        case asksEncryption
        /// A byte of the next message in the packet that asks for encryption.
        case smuggles
        case unknownDatabase, wrongPassword, garbage, future, noUser
        /// Half a StartupMessage, then nothing.
        case half
        /// Everything is there but the password.
        case silent
        /// Leaves in the middle of an answer; answers something else.
        case cutExchange, garbledExchange
        /// Those that a seed may choose at random, besides those of `makeLogins`.
        static let ofAnyAuth: [Login] = [
            .plain, .asksEncryption, .smuggles, .unknownDatabase, .wrongPassword, .garbage, .future, .noUser,
            .half, .silent,
        ]
    }

    /// Something done to the whole: by an operator, or by fate.
    struct Deed {
        /// Microseconds after the start.
        var at: Int
        var what: What
        enum What: String, CaseIterable {
            case killServer, shutDownServer, pause, resume, reconnect, killClient, reload, killDatabase
            case refuseConnections, acceptConnections
            /// A server says something that nobody asked for.
            case remark
            /// The databases lie on another host from now on; or one is there no more.
            case moveHost, removeDatabase
            /// The whole process stands still for a minute.
            case freeze
            /// SIGTERM and SIGINT.
            case endWithClients, endWithServers
        }
    }

    package var seed: UInt64
    /// Ordered as made; looked up by name.
    package var options: [Option] = []
    var clients: [ClientScript] = []
    var deeds: [Deed] = []

    subscript(name: String) -> Int {
        get { options.first { $0.name == name }?.value ?? 0 }
        set {
            if let place = options.firstIndex(where: { $0.name == name }) {
                options[place].value = newValue
            } else {
                options.append(Option(name: name, value: newValue))
            }
        }
    }

    package init(seed: UInt64) { self.seed = seed }

    var mode: PoolMode { [PoolMode.session, .transaction, .statement][min(2, self["mode"])] }
}

extension Scenario {
    package var text: String {
        var lines = ["seed \(seed)"]
        for option in options { lines.append("option \(option.name) \(option.value)") }
        for deed in deeds { lines.append("deed \(deed.at) \(deed.what.rawValue)") }
        for client in clients {
            lines.append(
                "client \(client.number) \(client.startsAt) \(client.database) \(client.user) \(client.login)"
            )
            for (name, value) in client.wishes { lines.append("wish \(name) \(value)") }
            for step in client.steps { lines.append("  " + step.line) }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package init?(text: String) {
        self.init(seed: 0)
        for line in text.split(separator: "\n") {
            if line.hasPrefix("#") { continue }
            if line.hasPrefix("  ") {
                guard !clients.isEmpty, let step = Step(line: String(line.dropFirst(2))) else { return nil }
                clients[clients.count - 1].steps.append(step)
                continue
            }
            let words = line.split(separator: " ").map(String.init)
            switch (words.first, words.count) {
            case ("seed", 2): seed = UInt64(words[1]) ?? 0
            case ("option", 3): self[words[1]] = Int(words[2]) ?? 0
            case ("deed", 3):
                guard let what = Deed.What(rawValue: words[2]) else { return nil }
                deeds.append(Deed(at: Int(words[1]) ?? 0, what: what))
            case ("client", 4), ("client", 6):
                var script = ClientScript(
                    number: Int(words[1]) ?? 0, startsAt: Int(words[2]) ?? 0, database: words[3])
                if words.count == 6 {
                    script.user = words[4]
                    script.login = Login(rawValue: words[5]) ?? .plain
                }
                clients.append(script)
            case ("wish", 3...):
                guard !clients.isEmpty else { return nil }
                clients[clients.count - 1].wishes.append((words[1], words[2...].joined(separator: " ")))
            default: return nil
            }
        }
    }
}
