import CLinux
import Config
import Primitives
import TLS

/// The TLS contexts in force, for both sides. One for all threads: a reload puts others in their place, and
/// links that stand keep what they have.
///
/// `@unchecked Sendable`: what changes is behind the gate's lock.
final class Security: @unchecked Sendable {
    struct Contexts: Sendable {
        var clients: TLSContext?
        var servers: TLSContext?

        /// Fails with what is wrong with the settings or their files.
        init(_ global: GlobalSettings) throws(TLSFailure) {
            try FilePermissions.checkKeys(global)
            clients = try TLSContext.forClients(global)
            servers = try TLSContext.forServers(global)
        }

        init() {}
    }

    private let gate = linux_gate_make()
    private var contexts = Contexts()

    init() {}
    deinit { linux_gate_free(gate) }

    var current: Contexts {
        linux_gate_lock(gate)
        defer { linux_gate_unlock(gate) }
        return contexts
    }

    /// Takes keys and certificates from the files; the old ones stay when something is wrong, and the answer
    /// says what.
    func renew(_ global: GlobalSettings) -> ByteString? {
        do throws(TLSFailure) {
            let fresh = try Contexts(global)
            linux_gate_lock(gate)
            defer { linux_gate_unlock(gate) }
            contexts = fresh
            return nil
        } catch {
            return error.text
        }
    }
}
