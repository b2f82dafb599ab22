*** Settings ***
Documentation     robotframework-uds as a tester, over isotp.CanStack on a virtual bus of python-can.
Library           RobotFramework_UDS
Library           tests.clients.others.robot_ecu.RobotEcu
Suite Setup       Connect
Suite Teardown    Disconnect

*** Test Cases ***
Change The Session
    ${response}    Diagnostic Session Control    3
    Should Be Equal As Integers    ${response.service_data.session_echo}    3

Be Present
    ${response}    Tester Present
    Should Be True    ${response.positive}

Download In Long Requests
    Check Echo Of A Long Request

*** Keywords ***
Connect
    Start Ecu
    ${parameters}    Evaluate    {"stmin": 0, "blocksize": 8, "tx_padding": 0xAA}
    Create UDS Connector    communication_name=can    interface=virtual    channel=0    txid=0x7E0    rxid=0x7E8
    ...    baudrate=500000    isotp_config=${parameters}
    Connect UDS Connector
    Open UDS Connection

Disconnect
    Close UDS Connection
    Stop Ecu

Check Echo Of A Long Request
    ${data}    Evaluate    bytes(range(256)) * 15
    ${response}    Transfer Data    1    ${data}
    Should Be True    ${response.positive}
    Ecu Received    ${data}
