# gatehouse-guest-heartbeat 1
<#
.SYNOPSIS
Tells Gatehouse how this machine is: queue and badmail, services, certificate, a look at Microsoft 365's door, what was applied.

.DESCRIPTION
Windows PowerShell 5.1, run as SYSTEM by a scheduled task every ten minutes. Reads heartbeat.json beside it, changes nothing but the value in
which it keeps its last probe, and posts one JSON object with a token of the machine's own identity. It prints nothing.

.NOTES
Sources: manual, chapter 3.5 (folders); RFC 5321 and 3207 (the probe ends before any message); "Azure Instance Metadata Service".
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
if ($null -ne $settings.PSObject.Properties['directoryFile']) { $body.directory = Get-DirectoryState $settings.directoryFile }
$query = 'api-version=2018-02-01&resource={0}&client_id={1}' -f [Uri]::EscapeDataString($settings.audience), [Uri]::EscapeDataString($settings.identityClientId)
$token = (Invoke-RestMethod -Method Get -Uri "http://169.254.169.254/metadata/identity/oauth2/token?$query" -Headers @{ Metadata = 'true' } -TimeoutSec 30).access_token
$json = [Text.Encoding]::UTF8.GetBytes((ConvertTo-Json -InputObject $body -Compress -Depth 4))
[void] (Invoke-RestMethod -Method Post -Uri $settings.url -Headers @{ Authorization = "Bearer $token" } -ContentType 'application/json' -Body $json -TimeoutSec 30)
