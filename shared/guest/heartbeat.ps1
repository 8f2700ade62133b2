# gatehouse-guest-heartbeat 1
<#
.SYNOPSIS
Tells Gatehouse how this machine is: queue and badmail, services, certificate, a look at Microsoft 365's door, what was applied.

.DESCRIPTION
Windows PowerShell 5.1, run as SYSTEM by a scheduled task every ten minutes. Reads heartbeat.json beside it, changes nothing but the values in
which it keeps its last probe and how far it has read the SMTP service's log, and posts one JSON object with a token of the machine's own identity. It prints nothing.

.NOTES
Sources: manual, chapter 3.5 (folders); "W3C Extended Log File Format" and IIS' SMTP service (log); RFC 5321 and 3207 (the probe ends before any message); "Azure Instance Metadata Service".
#>
[CmdletBinding()]
param([ValidatePattern('^[A-Za-z]:\\[^"<>|*?]+\.json$')] [string] $SettingsFile = 'C:\Program Files\Gatehouse\heartbeat.json')

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

$StateKey = 'HKEY_LOCAL_MACHINE\SOFTWARE\Gatehouse\Guest'
$ProbeKey = 'HKEY_LOCAL_MACHINE\SOFTWARE\Gatehouse\Heartbeat'
# Microsoft's door is not to be knocked at more often.
$ProbeEveryMinutes = 15
# Where the first SMTP server of a machine writes its log, unless somebody says otherwise.
$SmtpLogFolder = 'C:\Windows\System32\LogFiles\SMTPSVC1'
$MostLogBytes = 4194304
$smtpLogRead = $null

function Get-Folder([string] $Path) {
    if (-not [IO.Directory]::Exists($Path)) { return $null }
    $files = @((New-Object IO.DirectoryInfo($Path)).GetFiles())
    $oldest = $null
    if ($files.Count -gt 0) {
        $first = @($files | Sort-Object -Property LastWriteTimeUtc)[0].LastWriteTimeUtc
        $oldest = [int] [Math]::Max(0, ([DateTime]::UtcNow - $first).TotalSeconds)
    }
    return @{ count = $files.Count; oldestAgeInSeconds = $oldest }
}

function Get-ServiceState([string] $Name) {
    $service = Get-Service -Name $Name -ErrorAction SilentlyContinue
    if ($null -eq $service) { return @{ name = $Name; state = 'Missing' } }
    return @{ name = $Name; state = [string] $service.Status }
}

# The one that the SMTP server takes: the newest of its name.
function Get-TlsCertificate([string] $Fqdn) {
    $found = @(Get-ChildItem -Path Cert:\LocalMachine\My | Where-Object { $_.HasPrivateKey -and (@($_.DnsNameList | ForEach-Object { $_.Unicode }) -contains $Fqdn) } | Sort-Object -Property NotAfter -Descending)
    if ($found.Count -eq 0) { return $null }
    return @{ thumbprint = $found[0].Thumbprint; notAfter = $found[0].NotAfter.ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ'); selfSigned = $found[0].Subject -eq $found[0].Issuer }
}

function Read-Reply($Reader) {
    do { $line = $Reader.ReadLine() } while ($null -ne $line -and $line.Length -gt 3 -and $line[3] -eq '-')
    if ($null -eq $line) { throw 'the connection was closed' }
    return $line
}

function Send-Command($Writer, $Reader, [string] $Command) {
    $Writer.Write($Command + "`r`n")
    $Writer.Flush()
    return Read-Reply $Reader
}

function New-Conversation($Stream) {
    $ascii = [Text.Encoding]::ASCII
    return @((New-Object IO.StreamReader($Stream, $ascii)), (New-Object IO.StreamWriter($Stream, $ascii)))
}

# As far as RCPT TO over TLS, from this machine's own address: what blocks that address says so here, and nowhere else.
function Get-Probe($Settings) {
    $stage = 'connect'
    $reply = ''
    $client = New-Object Net.Sockets.TcpClient
    try {
        if (-not $client.ConnectAsync($Settings.probe.host, 25).Wait(15000)) { throw 'no answer' }
        $client.ReceiveTimeout = 30000
        $reader, $writer = New-Conversation $client.GetStream()
        $stage = 'greeting'
        $reply = Read-Reply $reader
        foreach ($command in @("EHLO $($Settings.fqdn)", 'STARTTLS')) {
            if ($reply[0] -ne '2') { break }
            $stage = $command.Split(' ')[0]
            $reply = Send-Command $writer $reader $command
        }
        if ($reply[0] -eq '2') {
            $stage = 'TLS'
            $tls = New-Object Net.Security.SslStream($client.GetStream())
            $tls.AuthenticateAsClient($Settings.probe.host)
            $reader, $writer = New-Conversation $tls
            foreach ($command in @("EHLO $($Settings.fqdn)", 'MAIL FROM:<>', "RCPT TO:<$($Settings.probe.recipient)>")) {
                $stage = $command.Split(' ')[0]
                $reply = Send-Command $writer $reader $command
                if ($reply[0] -ne '2') { break }
            }
            [void] (Send-Command $writer $reader 'QUIT')
        }
    }
    catch { if ($reply -eq '' -or $reply[0] -eq '2') { $reply = '' } }
    finally { $client.Dispose() }
    return @{ at = [DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ'); host = $Settings.probe.host; stage = $stage; reply = $reply.Substring(0, [Math]::Min(300, $reply.Length)) }
}

function Get-RecentProbe($Settings) {
    if ($null -eq $Settings.PSObject.Properties['probe']) { return $null }
    $kept = [Microsoft.Win32.Registry]::GetValue($ProbeKey, 'Probe', $null)
    if ($null -ne $kept) {
        $probe = ConvertFrom-Json -InputObject $kept
        if (([DateTime]::UtcNow - [DateTime]::Parse($probe.at).ToUniversalTime()).TotalMinutes -lt $ProbeEveryMinutes) { return $probe }
    }
    $probe = Get-Probe $Settings
    [Microsoft.Win32.Registry]::SetValue($ProbeKey, 'Probe', (ConvertTo-Json -InputObject $probe -Compress))
    return $probe
}

# Which directory is there, by what is in it: null until directory.ps1 has put one there.
function Get-DirectoryState([string] $Path) {
    if (-not [IO.File]::Exists($Path)) { return $null }
    $sha = [Security.Cryptography.SHA256]::Create()
    # Whoever reads it must not keep a new one from taking its place.
    $stream = [IO.File]::Open($Path, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare] 'Read, Delete')
    try { $hash = [BitConverter]::ToString($sha.ComputeHash($stream)).Replace('-', '').ToLowerInvariant() } finally { $stream.Dispose(); $sha.Dispose() }
    return @{ hash = $hash; at = [IO.File]::GetLastWriteTimeUtc($Path).ToString('yyyy-MM-ddTHH:mm:ssZ') }
}

# From there to the last whole line; a log that grew by more since then is read from its end.
function Read-NewLine($File, [long] $From) {
    $stream = [IO.File]::Open($File.FullName, [IO.FileMode]::Open, [IO.FileAccess]::Read, [IO.FileShare] 'ReadWrite, Delete')
    try {
        if ($From -gt $stream.Length) { $From = 0 }
        $start = [Math]::Max($From, $stream.Length - $MostLogBytes)
        [void] $stream.Seek($start, [IO.SeekOrigin]::Begin)
        $text = (New-Object IO.StreamReader($stream, [Text.Encoding]::ASCII)).ReadToEnd()
    }
    finally { $stream.Dispose() }
    # Room that the service has set aside and not written yet.
    $unwritten = $text.IndexOf([char] 0)
    if ($unwritten -ge 0) { $text = $text.Substring(0, $unwritten) }
    $end = $text.LastIndexOf("`n") + 1
    return @{ position = $start + $end; lines = @($text.Substring(0, $end) -split "`r?`n") }
}

# What Microsoft 365 refused since the last heartbeat, by code: nobody's address, and no words. Null where the service writes no such log.
function Get-Refused {
    if (-not [IO.Directory]::Exists($SmtpLogFolder)) { return $null }
    $files = @((New-Object IO.DirectoryInfo($SmtpLogFolder)).GetFiles('*.log') | Sort-Object -Property LastWriteTimeUtc)
    if ($files.Count -eq 0) { return $null }
    $newest = $files[-1]
    $kept = [Microsoft.Win32.Registry]::GetValue($ProbeKey, 'SmtpLog', $null)
    $name, $from = @($newest.Name, 0)
    if ($null -ne $kept) { $name, $from = $kept.Split('|') }
    $lines = @()
    foreach ($file in @($files | Where-Object { $_.Name -eq $name -and $_.Name -ne $newest.Name })) { $lines += (Read-NewLine $file ([long] $from)).lines }
    if ($name -ne $newest.Name) { $from = 0 }
    $read = Read-NewLine $newest ([long] $from)
    # What was refused before anybody asked is not told.
    if ($null -ne $kept) { $lines += $read.lines }
    $script:smtpLogRead = '{0}|{1}' -f $newest.Name, $read.position
    $microsofts = @{}
    $refused = @{}
    foreach ($line in $lines) {
        if ($line -notmatch '^(?:(?<date>\d{4}-\d\d-\d\d) )?(?<time>\d\d:\d\d:\d\d) (?<ip>\S+) OutboundConnectionResponse (?:\S+ )*?(?<reply>[245]\d\d[+-]\S+)') { continue }
        $said = $Matches
        if ($said.reply -match 'protection\.outlook\.') { $microsofts[$said.ip] = $true }
        if (-not $microsofts.ContainsKey($said.ip) -or $said.reply -notmatch '^(?<status>[45]\d\d)[+-](?<code>[45]\.\d{1,3}\.\d{1,3})(?!\d)') { continue }
        $reply = '{0} {1}' -f $Matches.status, $Matches.code
        if ($Matches.code -eq '5.7.1' -and $said.reply -match 'delist@microsoft\.com|blocked\+using\+blocklist') { $reply += ' blocked using blocklist' }
        $date = [DateTime]::UtcNow.ToString('yyyy-MM-dd')
        if ($said.ContainsKey('date')) { $date = $said.date }
        if (-not $refused.ContainsKey($reply)) { $refused[$reply] = @{ reply = $reply; count = 0; lastAt = '' } }
        $refused[$reply].count++
        $refused[$reply].lastAt = '{0}T{1}Z' -f $date, $said.time
    }
    return , @($refused.Values | Sort-Object -Property { $_.lastAt } -Descending | Select-Object -First 20)
}

function Get-StateNumber([string] $Name) { return [int] [Microsoft.Win32.Registry]::GetValue($StateKey, $Name, 0) }

$settings = ConvertFrom-Json -InputObject ([IO.File]::ReadAllText($SettingsFile))
$body = @{
    version     = 1
    sentAt      = [DateTime]::UtcNow.ToString('yyyy-MM-ddTHH:mm:ssZ')
    queue       = Get-Folder 'C:\inetpub\mailroot\Queue'
    badmail     = Get-Folder 'C:\inetpub\mailroot\Badmail'
    services    = @($settings.services | ForEach-Object { Get-ServiceState $_ })
    certificate = Get-TlsCertificate $settings.fqdn
    probe       = Get-RecentProbe $settings
    applied     = @{ generation = (Get-StateNumber 'AppliedGeneration'); part = (Get-StateNumber 'AppliedPart') }
    # Mission E8: packet inspection is a finding.
    scanners    = @(Get-Service -Name 'Cylance*', 'SepMasterService', 'Sophos*', 'CiscoAMP*' -ErrorAction SilentlyContinue | ForEach-Object { $_.Name })
}
# What can't be read now is read by the next one.
try { $body.refused = Get-Refused } catch { $body.refused = $null }
if ($null -ne $settings.PSObject.Properties['directoryFile']) { $body.directory = Get-DirectoryState $settings.directoryFile }
$query = 'api-version=2018-02-01&resource={0}&client_id={1}' -f [Uri]::EscapeDataString($settings.audience), [Uri]::EscapeDataString($settings.identityClientId)
$token = (Invoke-RestMethod -Method Get -Uri "http://169.254.169.254/metadata/identity/oauth2/token?$query" -Headers @{ Metadata = 'true' } -TimeoutSec 30).access_token
$json = [Text.Encoding]::UTF8.GetBytes((ConvertTo-Json -InputObject $body -Compress -Depth 4))
[void] (Invoke-RestMethod -Method Post -Uri $settings.url -Headers @{ Authorization = "Bearer $token" } -ContentType 'application/json' -Body $json -TimeoutSec 30)
# Told: only now, so that what could not be posted is told by the next one.
if ($null -ne $smtpLogRead) { [Microsoft.Win32.Registry]::SetValue($ProbeKey, 'SmtpLog', $smtpLogRead) }
