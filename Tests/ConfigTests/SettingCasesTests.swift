import Config
import Primitives
import Testing

/// Every setting, one after another: in a file, on the console, in a reload, and with nonsense for a value.
@Suite struct SettingCasesTests {
    private static let names = settingCases.map(\.name)

    private func find(_ name: String) throws -> (row: Setting, wanted: SettingCase) {
        let wanted = try #require(settingCases.first { $0.name == name })
        return (try #require(GlobalSettings.row(named: ByteString(name))), wanted)
    }

    private func file(_ name: String, _ value: ByteString) -> ByteString {
        ByteString("[pgbouncer]\n;\n\(name) = ") + value + "\n"
    }

    @Test func everySettingHasACase() {
        #expect(Self.names == GlobalSettings.rows.map(\.name))
    }

    @Test(arguments: names) func itIsReadAndShown(name: String) throws {
        let (row, wanted) = try find(name)
        let loaded = try load(file(name, wanted.text) + wanted.with).get()
        #expect(row.shownText(in: loaded.snapshot.global) == wanted.shown)
    }

    @Test(arguments: names) func nonsenseIsRefusedWithItsPlace(name: String) throws {
        let (row, wanted) = try find(name)
        let found = complaints(file(name, wanted.bad))
        #expect(found.count == 1)
        let complaint = try #require(found.first)
        if wanted.bad.bytes.contains(0) {
            let text = "syntax error in configuration (p.ini:3), stopping loading: there is a zero byte"
            #expect(complaint.hasPrefix(text))
        } else {
            let quoted = "invalid value \"\(wanted.bad.lossyText)\" for parameter \(name)"
            #expect(complaint == quoted + " in configuration (p.ini:3): expected \(row.expected)")
        }
        #expect(!row.expected.isEmpty)
    }

    @Test(arguments: names) func theConsoleSetsWhatMayChange(name: String) throws {
        let (row, wanted) = try find(name)
        let before = Snapshot()
        let after = before.setting(ByteString(name), to: wanted.text)
        if wanted.reload == .restart {
            guard case .failure(let error) = after else { return #expect(Bool(false)) }
            #expect(error.text.hasPrefix("parameter \(name) cannot be changed now: it counts only at the"))
        } else {
            #expect(try row.shownText(in: after.get().global) == wanted.shown)
        }
        guard case .failure(let error) = before.setting(ByteString(name), to: wanted.bad) else {
            return #expect(Bool(false))
        }
        #expect(error.text.contains(name))
        #expect(wanted.reload == .restart || error.text.hasSuffix("expected \(row.expected)"))
    }

    @Test(arguments: names) func aReloadKnowsWhenItCounts(name: String) throws {
        let (row, wanted) = try find(name)
        #expect(row.reload == wanted.reload)
        let old = try load("[pgbouncer]\n" + wanted.with).get().snapshot
        let new = try load(file(name, wanted.text) + wanted.with).get().snapshot
        if row.shownText(in: old.global) == row.shownText(in: new.global) { return }
        let difference = SnapshotDiff(from: old, to: new)
        let isLate = wanted.reload == .restart
        #expect(
            difference.changedSettings == (isLate || name == "conffile" ? difference.changedSettings : [name])
        )
        #expect(difference.restartSettings == (isLate ? [name] : []))
        #expect(difference.recyclesPools == (wanted.reload == .newPools))
        let kept = new.keepingStartSettings(of: old)
        #expect((row.shownText(in: kept.global) == wanted.shown) == !isLate)
        // Taken out of the file again, it has its default again.
        let gone = try load("[pgbouncer]\n" + wanted.with).get().snapshot
        #expect(row.shownText(in: gone.global) == row.shownText(in: old.global))
    }
}
